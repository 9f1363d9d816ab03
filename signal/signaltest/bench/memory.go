package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"parley/signal/signaltest/deployment"
)

const (
	// firstUsers are at each server before the others come, so that what a server needs once is not
	// counted.
	firstUsers = 1000
	// memoryRest is the time between the logins and the measurement at rest. An idle Go process
	// collects its garbage every two minutes, and returns memory after that.
	memoryRest = 5 * time.Minute
)

// footprint is what a server needs for each idle connection, in KiB.
type footprint struct {
	soon float64 // VmRSS 3 s after the logins
	rest float64 // VmRSS at rest
	live float64 // heap and stacks in use after a garbage collection
}

// runMemory measures only the memory of idle connections.
func runMemory(p plan) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{plan: p}
	if err := b.build(dir); err != nil {
		return err
	}
	if err := b.measureMemory(context.Background()); err != nil {
		return err
	}
	fmt.Printf("%s, %d idle connections per server\n\n%s", time.Now().Format(time.DateOnly), p.idle, tableHead)
	return printRows(b.f.memoryRows())
}

// measureMemory logs users in at as many single servers as there are rounds, and at as many nodes
// of a cluster, all at the same time. So each server is a sample, and all rest together.
func (b *bench) measureMemory(ctx context.Context) error {
	var servers [2][]*deployment.Node
	for i := range b.rounds + 1 {
		o := deployment.Options{Dir: filepath.Join(b.dir, fmt.Sprint("memory-", i)), Parley: b.parley, NATSServer: b.natsServer, Nodes: 1, Args: []string{"--limits", "off"}}
		kind := 0
		if i == b.rounds {
			o.Nodes, o.NATS, kind = b.rounds, 3, 1
		}
		if err := os.Mkdir(o.Dir, 0o700); err != nil {
			return err
		}
		d, err := deployment.Start(ctx, o)
		if err != nil {
			return err
		}
		defer d.Close()
		servers[kind] = append(servers[kind], d.Nodes...)
	}
	var before [2][]sample
	var first [2][]footprint
	number := 0
	login := func(n *deployment.Node, count int) (*crowd, error) {
		c, err := startCrowd(n.Server, number, count)
		if err == nil {
			number += count
			err = c.ready()
		}
		return c, err
	}
	for round := range b.rounds {
		for kind := range servers {
			n := servers[kind][round]
			few, err := login(n, firstUsers)
			if err != nil {
				return err
			}
			defer few.stop()
			at, err := collected(ctx, n)
			if err != nil {
				return err
			}
			many, err := login(n, b.plan.idle)
			if err != nil {
				return err
			}
			defer many.stop()
			time.Sleep(3 * time.Second) // as a user would, who looks at it a moment later
			rss, err := n.Memory()
			if err != nil {
				return err
			}
			before[kind] = append(before[kind], at)
			first[kind] = append(first[kind], footprint{soon: (rss - at.rss) / float64(b.plan.idle)})
		}
	}
	note("memory: %s of rest", memoryRest)
	time.Sleep(memoryRest)
	for kind := range servers {
		for i, n := range servers[kind] {
			rss, err := n.Memory()
			if err != nil {
				return err
			}
			after, err := collected(ctx, n)
			if err != nil {
				return err
			}
			if names, err := n.Metric(ctx, "signaling_names"); err != nil || int(names) != firstUsers+b.plan.idle {
				return cmp.Or(err, fmt.Errorf("%s has %v names, want %d", n.Name, names, firstUsers+b.plan.idle))
			}
			f := first[kind][i]
			f.rest, f.live = (rss-before[kind][i].rss)/float64(b.plan.idle), (after.live-before[kind][i].live)/float64(b.plan.idle)
			b.f.memory[kind] = append(b.f.memory[kind], f)
			note("%s of the %s: %.2f KiB at rest, %.2f soon, %.2f live", n.Name, [...]string{"single servers", "cluster"}[kind], f.rest, f.soon, f.live)
		}
	}
	return nil
}

// sample is the memory of a server, in KiB.
type sample struct{ rss, live float64 }

// stillKiB is by how much less the memory of a server at rest changes in a second: it talks to NATS
// servers.
const stillKiB = 64

// collected makes a server collect its garbage, and returns its memory when it has returned what it
// does not need.
func collected(ctx context.Context, n *deployment.Node) (s sample, err error) {
	for range 2 { // what the first one frees counts as needed until the second
		if err := n.CollectGarbage(ctx); err != nil {
			return s, err
		}
	}
	heap, err := n.Metric(ctx, "go_memstats_heap_alloc_bytes")
	if err != nil {
		return s, err
	}
	stacks, err := n.Metric(ctx, "go_memstats_stack_inuse_bytes")
	if err != nil {
		return s, err
	}
	s.live = (heap + stacks) / 1024
	for range 60 {
		before := s.rss
		if s.rss, err = n.Memory(); err != nil || math.Abs(s.rss-before) < stillKiB {
			return s, err
		}
		time.Sleep(time.Second)
	}
	return s, errors.New("the memory of a server without load does not come to rest")
}

// memoryRows returns the rows of the table. The first one decides.
func (f *figures) memoryRows() (rows []row) {
	for i, r := range []struct {
		what string
		of   func(footprint) float64
	}{
		{"at rest", func(f footprint) float64 { return f.rest }},
		{"3 s after the logins", func(f footprint) float64 { return f.soon }},
		{"live heap and stacks", func(f footprint) float64 { return f.live }},
	} {
		var text [2]string
		var middle [2]float64
		for kind, all := range f.memory {
			var values []float64
			for _, f := range all {
				values = append(values, r.of(f))
			}
			slices.Sort(values)
			middle[kind] = median(values)
			text[kind] = fmt.Sprintf("%.2f (%.2f to %.2f)", middle[kind], values[0], values[len(values)-1])
		}
		more := middle[1] - middle[0]
		next := row{what: "memory per idle connection, " + r.what + " (KiB)", single: text[0], cluster: text[1], got: fmt.Sprintf("%.2f more", more)}
		if i == 0 {
			next.goal, next.missed = fmt.Sprintf("≤ %.1f more", goalMemory), more > goalMemory
		}
		rows = append(rows, next)
	}
	return rows
}

package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"parley/signal/cluster"
	"parley/signal/cluster/nats"
	"parley/signal/signaltest/deployment"
)

// nameSteps is how many rows runNames prints.
const nameSteps = 10

// runNames claims names without connections, at three nodes in this process, and prints what the
// NATS servers need as their number grows.
func runNames(count int, restFor time.Duration) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	natsServer, err := deployment.BuildNATSServer(dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	d, err := deployment.Start(ctx, deployment.Options{Dir: dir, NATSServer: natsServer, NATS: 3})
	if err != nil {
		return err
	}
	defer d.Close()
	b := &bench{cluster: d}
	var urls []string
	for _, s := range d.NATS {
		urls = append(urls, s.URL)
	}
	var all []*nats.Node
	for range nodes {
		n, err := nats.Start(ctx, nats.Options{Servers: urls})
		if err != nil {
			return err
		}
		defer n.Close()
		if err := n.Ready(); err != nil {
			return err
		}
		all = append(all, n)
	}
	begin, err := use(b.natsProcesses()...)
	if err != nil {
		return err
	}
	fmt.Printf("| names | claims/s | CPU of a NATS server (%% of a core) | its memory (MiB) | per name (KiB) | disk (MiB) | per name (bytes) |\n|---:|---:|---:|---:|---:|---:|---:|\n")
	before := begin
	for step := range nameSteps {
		first, last := step*count/nameSteps, (step+1)*count/nameSteps
		if err := claimNames(all, first, last); err != nil {
			return err
		}
		after, err := use(b.natsProcesses()...)
		if err != nil {
			return err
		}
		bytes, err := stored(ctx, d.NATS[0])
		if err != nil {
			return err
		}
		servers := float64(len(d.NATS))
		fmt.Printf("| %d | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f |\n", last, float64(last-first)/after.at.Sub(before.at).Seconds(), after.load(before)/servers,
			after.memory/servers/1024, (after.memory-begin.memory)/servers/float64(last), bytes/(1<<20), bytes/float64(last))
		before = after
	}
	messages, err := b.natsMessages(ctx)
	if err != nil {
		return err
	}
	time.Sleep(restFor)
	after, err := b.natsMessages(ctx)
	if err != nil {
		return err
	}
	rest, err := use(b.natsProcesses()...)
	fmt.Printf("\nat rest: %.0f messages/s to the NATS servers, %.1f %% of a core each\n", (after-messages)/restFor.Seconds(), rest.load(before)/float64(len(d.NATS)))
	return err
}

// stored returns the bytes that a NATS server keeps on disk.
func stored(ctx context.Context, s *deployment.NATSServer) (bytes float64, err error) {
	var v struct {
		Bytes float64 `json:"storage"`
	}
	err = s.Value(ctx, "/jsz", &v)
	return v.Bytes, err
}

// claimNames claims the names with the numbers from first to last at the nodes in turn.
func claimNames(all []*nats.Node, first, last int) error {
	const atOnce = 64 // claims of each node at once
	var next atomic.Int64
	next.Store(int64(first))
	return together(len(all)*atOnce, func(worker int) error {
		n := all[worker%len(all)]
		done := make(chan error, 1)
		for {
			i := int(next.Add(1)) - 1
			if i >= last {
				return nil
			}
			c := cluster.Claim{Name: cluster.Name{Space: "call", Text: idleName(i)}, Session: n.Attach(silent{})}
			n.Claim(c, nil, func(err error) { done <- err })
			if err := <-done; err != nil {
				return err
			}
		}
	})
}

// silent is a session without a client.
type silent struct{}

// Receive implements cluster.Receiver.
func (silent) Receive(cluster.Message, cluster.Batch) {}

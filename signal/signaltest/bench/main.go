// Command bench measures the signaling server beside the same server on gorilla/websocket and
// beside the Node original, on this machine, with the same load, in one run. It prints a Markdown
// table.
//
//	go run ./signal/signaltest/bench
//
// With -cluster it measures a cluster of three nodes beside a single server, and fails if a goal is
// missed. With -memory it measures only their memory. With -names 1000000 it claims that many names
// and prints what the NATS servers need for them.
//
// Load: 50 pairs in a call; each keeps 8 candidates of 250 bytes in flight, sends the next when one
// has come back from the partner (closed loop), and writes each by itself. CPU time is that of the
// server's process (/proc), so that the load generator beside it does not distort it. Memory is the
// growth of the process (VmRSS) when 9,000 connections have logged in and are idle.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// plan is the load of a run.
type plan struct {
	pairs, inFlight, idle int
	span                  time.Duration
	rounds                int
	resume                bool          // the pairs can resume their sessions
	restFor               time.Duration // with -cluster
}

// result holds the measurements of one server in one round.
type result struct {
	relayed float64 // messages per CPU second
	rate    float64 // messages per second
	p50     time.Duration
	p99     time.Duration
	logins  float64 // per second
	memory  float64 // KiB per idle connection
}

// contestant is a server under test.
type contestant struct {
	name    string
	start   func() (*server, error)
	results []result
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == crowdFlag {
		if err := runCrowd(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var p plan
	var cluster, memory bool
	var names int
	flag.IntVar(&p.pairs, "pairs", 50, "pairs in a call")
	flag.IntVar(&p.inFlight, "in-flight", 8, "candidates in flight per pair")
	flag.IntVar(&p.idle, "idle", 9000, "idle connections")
	flag.DurationVar(&p.span, "span", 5*time.Second, "time of load per round")
	flag.IntVar(&p.rounds, "rounds", 5, "rounds; the table has the medians")
	flag.BoolVar(&cluster, "cluster", false, "measure a cluster beside a single server; -idle 10000 and -rounds 5 are those of its goals")
	flag.BoolVar(&memory, "memory", false, "measure only the memory of idle connections, at as many single servers and nodes of a cluster as there are rounds")
	flag.DurationVar(&p.restFor, "rest", 70*time.Second, "with -cluster, time in which idle names are observed")
	flag.IntVar(&names, "names", 0, "claim this number of names at three nodes, without connections, and print what the NATS servers need")
	flag.Parse()
	debug.SetGCPercent(800) // the load generator's own pauses must not lengthen round trips
	measure := run
	switch {
	case names > 0:
		measure = func(p plan) error { return runNames(names, p.restFor) }
	case memory:
		measure = runMemory
	case cluster:
		measure = runCluster
	}
	if err := measure(p); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(p plan) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	own, err := build(dir, "parley", "")
	if err != nil {
		return err
	}
	gorilla, err := build(dir, "parley-gorilla", "gorilla")
	if err != nil {
		return err
	}
	all := []*contestant{
		{name: "parley", start: func() (*server, error) { return startParley(own, false) }},
		{name: "gorilla", start: func() (*server, error) { return startParley(gorilla, false) }},
		{name: "parley, TLS", start: func() (*server, error) { return startParley(own, true) }},
		{name: "gorilla, TLS", start: func() (*server, error) { return startParley(gorilla, true) }},
		{name: "Node original", start: startNode},
	}
	for range p.rounds { // alternating, so that other load on this machine affects all alike
		for _, c := range all {
			r, err := round(c.start, p)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.results = append(c.results, r)
		}
	}
	table(all, p)
	return nil
}

// round measures one server. Memory comes first, while the process is young.
func round(start func() (*server, error), p plan) (result, error) {
	var r result
	s, err := start()
	if err != nil {
		return r, err
	}
	defer s.stop()
	if r.memory, r.logins, err = idle(s, p); err != nil {
		return r, err
	}
	s.stop()
	if s, err = start(); err != nil {
		return r, err
	}
	defer s.stop()
	err = relay(s.url, p, s.cpu, s.stop, &r)
	return r, err
}

// median returns the median of one measurement.
func (c *contestant) median(of func(result) float64) float64 {
	values := make([]float64, len(c.results))
	for i, r := range c.results {
		values[i] = of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ratio returns the median over the rounds of the ratio to another server in the same round.
func (c *contestant) ratio(other *contestant, of func(result) float64) float64 {
	values := make([]float64, len(c.results))
	for i, r := range c.results {
		values[i] = of(r) / of(other.results[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func table(all []*contestant, p plan) {
	own, gorilla, ownTLS, gorillaTLS, node := all[0], all[1], all[2], all[3], all[4]
	fmt.Printf("| %d pairs, %d in flight, %d idle |", p.pairs, p.inFlight, p.idle)
	for _, c := range all {
		fmt.Printf(" %s |", c.name)
	}
	fmt.Printf(" parley : gorilla | with TLS | parley : Node |\n|---|%s\n", strings.Repeat("---:|", len(all)+3))
	row := func(what, format string, of func(result) float64) {
		fmt.Printf("| %s |", what)
		for _, c := range all {
			fmt.Printf(" "+format+" |", c.median(of))
		}
		fmt.Printf(" %.2f | %.2f | %.2f |\n", own.ratio(gorilla, of), ownTLS.ratio(gorillaTLS, of), own.ratio(node, of))
	}
	row("messages relayed per CPU second", "%.0f", func(r result) float64 { return r.relayed })
	row("messages relayed per second", "%.0f", func(r result) float64 { return r.rate })
	row("round trip, median (ms)", "%.2f", func(r result) float64 { return ms(r.p50) })
	row("round trip, p99 (ms)", "%.2f", func(r result) float64 { return ms(r.p99) })
	row("logins per second", "%.0f", func(r result) float64 { return r.logins })
	row("memory per idle connection (KiB)", "%.2f", func(r result) float64 { return r.memory })
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

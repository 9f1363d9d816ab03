// Command bench holds the signaling server against the Node original, on this machine, with the same load, in one run, and prints
// a Markdown table.
//
//	go build -o parley ./cmd/parley
//	go run ./signal/signaltest/bench -parley ./parley
//
// Load: 50 pairs in a call; each keeps 8 candidates of 250 bytes in flight, sends the next when one has come back from the
// partner (closed loop), and writes each by itself. What counts is the CPU time of the server's process as Linux tells it (/proc), so
// the load generator beside it does not distort the figure. Memory is what the process has grown by (VmRSS) when 9,000
// connections have signed in and are silent.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"time"
)

// plan is what is run.
type plan struct {
	pairs, inFlight, idle int
	span                  time.Duration
	rounds                int
}

// result is what one server did in one round.
type result struct {
	relayed float64 // messages per CPU second
	rate    float64 // messages per second
	p50     time.Duration
	p99     time.Duration
	logins  float64 // per second
	memory  float64 // KiB per idle connection
}

func main() {
	parley := flag.String("parley", "./parley", "the binary that serves")
	var p plan
	flag.IntVar(&p.pairs, "pairs", 50, "pairs in a call")
	flag.IntVar(&p.inFlight, "in-flight", 8, "candidates in flight per pair")
	flag.IntVar(&p.idle, "idle", 9000, "idle connections")
	flag.DurationVar(&p.span, "span", 5*time.Second, "time of load per round")
	flag.IntVar(&p.rounds, "rounds", 3, "rounds; the median counts")
	flag.Parse()
	debug.SetGCPercent(800) // the load generator's own pauses are nobody's round trip
	if err := run(*parley, p); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(parley string, p plan) error {
	var ours, node []result
	for range p.rounds { // in turn, so that whatever else this machine does meets both
		for _, s := range []struct {
			start   func() (*server, error)
			results *[]result
		}{{startNode, &node}, {func() (*server, error) { return startParley(parley) }, &ours}} {
			r, err := round(s.start, p)
			if err != nil {
				return err
			}
			*s.results = append(*s.results, r)
		}
	}
	table(median(ours), median(node), p)
	return nil
}

// round runs one server through everything. Memory comes first, while the process is young.
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
	err = relay(s, p, &r)
	return r, err
}

func median(all []result) result {
	pick := func(of func(result) float64) float64 {
		values := make([]float64, len(all))
		for i, r := range all {
			values[i] = of(r)
		}
		sort.Float64s(values)
		return values[len(values)/2]
	}
	return result{
		relayed: pick(func(r result) float64 { return r.relayed }),
		rate:    pick(func(r result) float64 { return r.rate }),
		p50:     time.Duration(pick(func(r result) float64 { return float64(r.p50) })),
		p99:     time.Duration(pick(func(r result) float64 { return float64(r.p99) })),
		logins:  pick(func(r result) float64 { return r.logins }),
		memory:  pick(func(r result) float64 { return r.memory }),
	}
}

func table(ours, node result, p plan) {
	fmt.Printf("| %d pairs, %d in flight, %d idle | parley | Node original | parley : Node |\n|---|---:|---:|---:|\n", p.pairs, p.inFlight, p.idle)
	row := func(what, format string, a, b float64) {
		fmt.Printf("| %s | "+format+" | "+format+" | %.2f |\n", what, a, b, a/b)
	}
	row("messages relayed per CPU second", "%.0f", ours.relayed, node.relayed)
	row("messages relayed per second", "%.0f", ours.rate, node.rate)
	row("round trip, median (ms)", "%.2f", ms(ours.p50), ms(node.p50))
	row("round trip, p99 (ms)", "%.2f", ms(ours.p99), ms(node.p99))
	row("logins per second", "%.0f", ours.logins, node.logins)
	row("memory per idle connection (KiB)", "%.2f", ours.memory, node.memory)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

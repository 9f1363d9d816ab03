// Command bulk measures the throughput of a data channel between two processes on one host, through a
// forwarder that delays packets and drops some: parley pipe and parley send, the real binary, next to
// libwebrtc (npm @roamhq/wrtc) and libdatachannel (npm node-datachannel) in one run. The result is a
// Markdown table of medians.
//
//	go run ./peer/peertest/bulk [-rounds 3] [-parley ./parley]
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"parley/peer/netem"
)

// messageSize is that of the messages of all, in bytes.
const messageSize = 64 << 10

// result is one measurement.
type result struct {
	bytes int64
	took  time.Duration
	cpu   [2]time.Duration // of the sender and the receiver
	most  [2]int64         // peak RSS of a parley in MiB
}

// start notes what the ends have used before.
func (r *result) start(ends [2]*exec.Cmd) {
	for i, cmd := range ends {
		r.cpu[i] = cpuOf(cmd)
	}
}

// finish waits for the ends, and notes what they have used since start.
func (r *result) finish(ends [2]*exec.Cmd) error {
	var err error
	for i, cmd := range ends {
		err = errors.Join(err, cmd.Wait())
		r.cpu[i] = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() - r.cpu[i]
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			r.most[i] = usage.Maxrss >> 10
		}
	}
	return err
}

func (r result) rate() float64 { return float64(r.bytes) * 8 / 1e6 / r.took.Seconds() } // Mbit/s

// cost is CPU seconds a gigabyte, at one end.
func (r result) cost(end int) float64 { return r.cpu[end].Seconds() / (float64(r.bytes) / 1e9) }

type options struct {
	parley, node  string
	rounds        int
	span          time.Duration
	only, network string
}

func main() {
	var o options
	flag.StringVar(&o.parley, "parley", "./parley", "the `BINARY`")
	flag.StringVar(&o.node, "node", "peer/peertest/bulk", "`FOLDER` of end.js and its node_modules")
	flag.IntVar(&o.rounds, "rounds", 3, "`NUMBER` of rounds; the median counts")
	flag.DurationVar(&o.span, "span", 5*time.Second, "`TIME` of each measurement")
	flag.StringVar(&o.only, "only", "", "only who has `TEXT` in its name")
	flag.StringVar(&o.network, "network", "", "only where `TEXT` is in the name of the network")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bulk:", err)
		os.Exit(1)
	}
}

// network is what lies between the ends.
type network struct {
	name    string
	config  netem.Config
	longest int // bytes of a packet that gets through
}

const ethernet = 1500 - 20 - 8 // bytes of UDP in a packet over IPv4

func run(o options) error {
	late := netem.Config{Delay: 10 * time.Millisecond, Seed: 1}
	lossy := late
	lossy.Loss = .01
	networks := []network{
		{"20 ms", late, ethernet},
		{"20 ms, 1 % loss", lossy, ethernet},
	}
	fmt.Println("| | network | Mbit/s | CPU s/GB, sender | receiver |\n|---|---|---:|---:|---:|")
	for _, n := range networks {
		if strings.Contains(n.name, o.network) {
			if err := o.compare(n); err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
		}
	}
	return nil
}

// compare measures all over one network, in turn, so that a busy moment is
// everybody's.
func (o options) compare(n network) error {
	size := int64(64 << 20) // bytes of a file; what pipe has carried, so that it takes as long
	kinds := []struct {
		name    string
		measure func(way *detour) (result, error)
	}{
		{"`parley pipe`", func(way *detour) (result, error) {
			r, err := measurePipe(o.parley, way, o.span)
			size = r.bytes
			return r, err
		}},
		{"`parley send`", func(way *detour) (result, error) { return measureSend(o.parley, way, size) }},
		{"libwebrtc", func(way *detour) (result, error) { return measureNode("libwebrtc", o.node, way, o.span) }},
		{"libdatachannel", func(way *detour) (result, error) { return measureNode("libdatachannel", o.node, way, o.span) }},
	}
	results := make([][]result, len(kinds))
	for range o.rounds {
		for i, k := range kinds {
			if !strings.Contains(k.name, o.only) {
				continue
			}
			r, err := n.over(k.measure)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			fmt.Fprintf(os.Stderr, "%s, %s: %s Mbit/s, %d MB, RSS %d MiB\n", k.name, n.name, short(r.rate()), r.bytes/1e6, r.most)
			results[i] = append(results[i], r)
		}
	}
	for i, k := range kinds {
		if all := results[i]; len(all) > 0 {
			slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.rate(), b.rate()) })
			m := all[len(all)/2]
			fmt.Printf("| %s | %s | %s | %.1f | %.1f |\n", k.name, n.name, short(m.rate()), m.cost(0), m.cost(1))
		}
	}
	return nil
}

// short is a number with as many digits as say something.
func short(f float64) string {
	if f < 100 {
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.0f", f)
}

// over measures once over the network.
func (n network) over(measure func(*detour) (result, error)) (result, error) {
	way := newDetour(n.config, n.longest)
	defer way.close()
	return measure(way)
}

// Command bulk measures the throughput of a data channel between two processes on one host, through
// a forwarder that delays packets and drops some: parley pipe and parley send, the real binary,
// next to libwebrtc (npm @roamhq/wrtc) and libdatachannel (npm node-datachannel) in one run. The
// result is a Markdown table of medians.
//
//	go run ./peer/peertest/bulk [-rounds 5] [-parley ./parley]
//
// It runs in a network namespace of its own, for which it needs root or user namespaces.
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
	rss   [2]int64         // peak of a parley, in MiB
	least int64            // bytes of a channel, with many channels
	most  int64
	queue time.Duration // mean time that packets have waited for the rate
	tcp   float64       // Mbit/s of the TCP connection meanwhile
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
			r.rss[i] = usage.Maxrss >> 10
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
	profile       string
}

func main() {
	var o options
	flag.StringVar(&o.parley, "parley", "./parley", "the `BINARY`")
	flag.StringVar(&o.node, "node", "peer/peertest/bulk", "`FOLDER` of end.js and its node_modules")
	flag.IntVar(&o.rounds, "rounds", 5, "`NUMBER` of rounds; the median counts")
	flag.DurationVar(&o.span, "span", 5*time.Second, "`TIME` of each measurement")
	flag.StringVar(&o.only, "only", "", "only who has `TEXT` in its name")
	flag.StringVar(&o.network, "network", "", "only the network of the name `TEXT`, or those whose names contain it; also \"500 channels\", \"growth of channels\" and \"limits\"")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of parley alone to the `FOLDER`, and print its largest costs")
	end := flag.Bool("end", false, "be one end of a call, driven by stdin")
	flag.Parse()
	var again bool
	var err error
	if *end {
		again, err = true, runParleyEnd(o.profile)
	} else {
		again, err = inNamespace(os.Args[1:], os.Stdout)
	}
	if !again {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bulk:", err)
		os.Exit(1)
	}
}

// network is what lies between the ends.
type network struct {
	name   string
	config netem.Config // of the direction to the receiver; the other one has no rate
	tcp    bool         // a TCP connection sends the same way
}

const ethernet = 1500 - 20 - 8 // bytes of UDP in a packet over IPv4

func networks() []network {
	path := func(roundTrip time.Duration, loss float64) netem.Config {
		return netem.Config{Delay: roundTrip / 2, Loss: loss, Seed: 1}
	}
	bottleneck := func(rate int, queue time.Duration) netem.Config {
		c := path(20*time.Millisecond, 0)
		c.Rate, c.Queue = rate, queue
		return c
	}
	return []network{
		{name: "loopback"},
		{name: "20 ms", config: path(20*time.Millisecond, 0)},
		{name: "20 ms, 0.1 % loss", config: path(20*time.Millisecond, .001)},
		{name: "20 ms, 1 % loss", config: path(20*time.Millisecond, .01)},
		{name: "20 ms, 3 % loss", config: path(20*time.Millisecond, .03)},
		{name: "200 ms, 0.1 % loss", config: path(200*time.Millisecond, .001)},
		{name: "20 ms, 10 Mbit/s, queue of 100 ms", config: bottleneck(10e6, 100*time.Millisecond)},
		{name: "20 ms, 50 Mbit/s, queue of 50 ms, beside TCP", config: bottleneck(50e6, 50*time.Millisecond), tcp: true},
	}
}

// isNetwork reports whether a network has the name.
func isNetwork(name string) bool {
	return slices.ContainsFunc(networks(), func(n network) bool { return n.name == name })
}

func run(o options) error {
	if o.profile != "" {
		return o.profileEnds()
	}
	const header = "| | network | Mbit/s | added delay, ms | CPU s/GB, sender | receiver | TCP CUBIC, Mbit/s |\n|---|---|---:|---:|---:|---:|---:|"
	var ratios string
	fmt.Println("<!-- bench-data -->\n" + header)
	for _, n := range networks() {
		if o.network == n.name || strings.Contains(n.name, o.network) && !isNetwork(o.network) {
			if err := o.compare(n, &ratios); err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
		}
	}
	if ratios != "" {
		fmt.Printf("<!-- end of bench-data -->\n\n%s\n%s", header, ratios)
	}
	if err := o.compareChannels(); err != nil {
		return err
	}
	if err := o.growChannels(); err != nil {
		return err
	}
	if strings.Contains("limits", o.network) {
		return printLimits(o.span)
	}
	return nil
}

// growChannels measures parley with more and more channels in one call.
func (o options) growChannels() error {
	if !strings.Contains("growth of channels", o.network) || !strings.Contains("parley", o.only) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Println("\n<!-- bench-channels -->\n| channels of parley, 1 KiB messages in turn | Mbit/s | least of a channel, KB | most | CPU s/GB, sender | receiver | of one channel | peak of MiB, sender | receiver |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	var first float64
	for _, n := range []int{1, 10, 100, 1000, 5000} {
		var all []result
		for range o.rounds {
			r, err := network{}.over(func(way *detour) (result, error) {
				return measureEnds([]string{self, "-end"}, way, load{channels: n, size: 1 << 10, duration: o.span})
			})
			if err != nil {
				return fmt.Errorf("%d channels: %w", n, err)
			}
			all = append(all, r)
		}
		m := median(all)
		cost := m.cost(sender) + m.cost(receiver)
		if first == 0 {
			first = cost
		}
		fmt.Printf("| %d | %s | %d | %d | %.1f | %.1f | %.2f | %d | %d |\n", n, short(m.rate()), m.least/1e3, m.most/1e3, m.cost(sender), m.cost(receiver), cost/first, m.rss[sender], m.rss[receiver])
	}
	return nil
}

func (o options) libwebrtc() []string { return []string{"node", o.node + "/end.js", "libwebrtc"} }
func (o options) libdatachannel() []string {
	return []string{"node", o.node + "/end.js", "libdatachannel"}
}

// compareChannels measures many channels in one call, without a delay.
func (o options) compareChannels() error {
	const name = "500 channels"
	if !strings.Contains(name, o.network) {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Println("\n| 500 channels, 1 KiB messages in turn | Mbit/s | least of a channel, KB | most | CPU s/GB, sender | receiver |\n|---|---:|---:|---:|---:|---:|")
	kinds := []struct {
		name    string
		command []string
	}{{"parley", []string{self, "-end"}}, {"libwebrtc", o.libwebrtc()}}
	results := make([][]result, len(kinds))
	for range o.rounds {
		for i, k := range kinds {
			if !strings.Contains(k.name, o.only) {
				continue
			}
			r, err := network{}.over(func(way *detour) (result, error) {
				return measureEnds(k.command, way, load{channels: 500, size: 1 << 10, duration: o.span})
			})
			if err != nil {
				return fmt.Errorf("%s: %s: %w", name, k.name, err)
			}
			fmt.Fprintf(os.Stderr, "%s, %s: %s Mbit/s, %d to %d bytes a channel\n", k.name, name, short(r.rate()), r.least, r.most)
			results[i] = append(results[i], r)
		}
	}
	for i, k := range kinds {
		if all := results[i]; len(all) > 0 {
			m := median(all)
			fmt.Printf("| %s | %s | %d | %d | %.1f | %.1f |\n", k.name, short(m.rate()), m.least/1e3, m.most/1e3, m.cost(sender), m.cost(receiver))
		}
	}
	return nil
}

// median returns the result with the median rate. It sorts all.
func median(all []result) result {
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.rate(), b.rate()) })
	return all[len(all)/2]
}

// compare measures all over one network, in turn, so that other load of the machine affects all
// alike. It adds lines to a table of ratios.
func (o options) compare(n network, ratios *string) error {
	size := int64(64 << 20) // bytes of a file; what pipe has carried, so that it takes as long
	one := load{channels: 1, size: messageSize, duration: o.span}
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
		{"libwebrtc", func(way *detour) (result, error) { return measureEnds(o.libwebrtc(), way, one) }},
		{"libdatachannel", func(way *detour) (result, error) { return measureEnds(o.libdatachannel(), way, one) }},
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
			fmt.Fprintf(os.Stderr, "%s, %s: %s Mbit/s, %d MB, %.1f ms, TCP %s Mbit/s, RSS %d MiB\n",
				k.name, n.name, short(r.rate()), r.bytes/1e6, r.queue.Seconds()*1000, short(r.tcp), r.rss)
			results[i] = append(results[i], r)
		}
	}
	for i, k := range kinds {
		if all := results[i]; len(all) > 0 {
			m := median(all)
			delay, tcp := "–", "–"
			if n.config.Rate > 0 {
				delay = short(m.queue.Seconds() * 1000)
			}
			if n.tcp {
				tcp = short(m.tcp)
			}
			fmt.Printf("| %s | %s | %s | %s | %.1f | %.1f | %s |\n", k.name, n.name, short(m.rate()), delay, m.cost(sender), m.cost(receiver), tcp)
		}
	}
	ours := results[0]
	for i, k := range kinds[2:] {
		if all := results[2+i]; len(ours) > 0 && len(all) > 0 {
			m, other := median(ours), median(all)
			delay := "–"
			if n.config.Rate > 0 {
				delay = fmt.Sprintf("%.2f", m.queue.Seconds()/other.queue.Seconds())
			}
			*ratios += fmt.Sprintf("| %s / %s | %s | %.2f | %s | %.2f | %.2f | |\n", kinds[0].name, k.name, n.name, m.rate()/other.rate(),
				delay, m.cost(sender)/other.cost(sender), m.cost(receiver)/other.cost(receiver))
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
	way := newDetour(n)
	defer way.close()
	var flow *tcpFlow
	var received int64 // by the TCP connection during the measurement
	if n.tcp {
		var err error
		if flow, err = startTCP(way); err != nil {
			return result{}, err
		}
		defer flow.close()
		way.onStart = func() { flow.received.Store(0) }
		way.onEnd = func() { received = flow.received.Load() }
	}
	r, err := measure(way)
	counts := way.links[receiver].Counts()
	r.queue = counts.QueueTime / time.Duration(max(1, counts.Sent-counts.Dropped))
	if flow != nil {
		r.tcp = float64(received) * 8 / 1e6 / r.took.Seconds()
	}
	return r, err
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"parley/signal/signaltest/deployment"
)

// The goals of a cluster.
const (
	goalWithin  = 0.95 // messages per CPU second within a node, of those of a single server
	goalAcross  = 15 * time.Millisecond
	goalRate    = 5000 // messages per second across nodes
	goalAgain   = 3 * time.Second
	goalMemory  = 0.5 // KiB per idle connection
	nodes       = 3
	answerEvery = 100 // idle connections: one answers calls
)

// figures are what a run measures. Those of the single server have the index 0, those of the
// cluster 1.
type figures struct {
	within       [2]comparison // of clients that cannot resume, and of clients that can
	across       [2]latencies
	again        [2][]time.Duration
	memory       [2][]footprint
	logins       [2]float64 // per second
	idle         [2]int     // names
	called       [2]int     // of these, users that answered a call
	rest         rest
	empty        [3]float64 // CPU without users, in per cent of a core: single, node, node with a NATS server
	atRate       [nodes + 1]float64
	natsAtRate   float64
	natsPerName  float64 // KiB of memory of a NATS server
	diskPerName  float64 // bytes of a NATS server
	storedNames  int
	messagesIdle float64 // per second, see natsMessages
}

// rest is what idle names cost, in per cent of a core.
type rest struct{ node, nats float64 }

// bench is a run of the measurements of a cluster.
type bench struct {
	plan
	f       figures
	busy    string // load average before the run
	single  *deployment.Deployment
	cluster *deployment.Deployment
	// embedded is a cluster of one node with a NATS server in its process.
	embedded *deployment.Deployment

	dir, parley, natsServer string // see build
}

// build builds the programs in dir.
func (b *bench) build(dir string) (err error) {
	note("building")
	b.dir = dir
	if b.parley, err = build(dir, "parley", ""); err == nil {
		b.natsServer, err = deployment.BuildNATSServer(dir)
	}
	return err
}

// runCluster measures a cluster beside a single server. It returns an error if a goal is missed.
func runCluster(p plan) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	busy, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	b := &bench{plan: p, busy: string(bytes.Fields(busy)[0])}
	if err := b.build(dir); err != nil {
		return err
	}
	ctx := context.Background()
	for i, d := range []**deployment.Deployment{&b.single, &b.cluster, &b.embedded} {
		o := deployment.Options{Dir: fmt.Sprintf("%s/%d", dir, i), Parley: b.parley, NATSServer: b.natsServer, Nodes: 1, Args: []string{"--limits", "off"}}
		switch i {
		case 1:
			o.Nodes, o.NATS, o.Balancer = nodes, 3, true
		case 2:
			o.Embedded = true
		}
		if err := os.Mkdir(o.Dir, 0o700); err != nil {
			return err
		}
		if *d, err = deployment.Start(ctx, o); err != nil {
			return err
		}
		defer (*d).Close()
	}
	for _, step := range []struct {
		what    string
		measure func(context.Context) error
	}{
		{"idle names", b.measureIdle},
		{"messages within a node", b.measureWithin},
		{"messages across nodes", b.measureAcross},
		{"ends of a node", b.measureAgain},
		{"memory of idle connections", b.measureMemory},
	} {
		note("%s", step.what)
		if err := step.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	note("took %s", time.Since(began).Round(time.Second))
	return b.report()
}

// note reports progress.
func note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}

// crowd is a process with many idle users of one node, because one process may not open so many
// files.
type crowd struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// crowdFlag makes this program a crowd: URL, the number of the first user, and how many.
const crowdFlag = "-crowd"

func startCrowd(url string, first, count int) (*crowd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &crowd{cmd: exec.Command(self, crowdFlag, url, strconv.Itoa(first), strconv.Itoa(count))}
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdin, c.out = stdin, bufio.NewReader(stdout)
	return c, c.cmd.Start()
}

// ready waits until all users have logged in.
func (c *crowd) ready() error {
	_, err := c.out.ReadString('\n')
	if err != nil {
		err = fmt.Errorf("the idle users did not log in: %w", err)
	}
	return err
}

func (c *crowd) stop() {
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
}

func idleName(i int) string { return fmt.Sprintf("user-%06d", i) }

// runCrowd logs users in and keeps them until its input ends.
func runCrowd(args []string) error {
	first, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	all := make([]*client, count)
	var next atomic.Int64
	err = together(32, func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= count {
				return nil
			}
			c, err := dial(args[0])
			if err != nil {
				return err
			}
			all[i] = c
			if err := c.login(idleName(first + i)); err != nil {
				return err
			}
			go c.answer() // pings, too
		}
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	for _, c := range all {
		_ = c.ws.NetConn().Close()
	}
	return err
}

// answer answers offers until the connection ends.
func (c *client) answer() {
	for {
		offer, err := c.until(`"offer"`)
		if err != nil {
			return
		}
		_, rest, _ := bytes.Cut(offer, []byte(`"name":"`))
		name, _, _ := bytes.Cut(rest, []byte(`"`))
		if c.send(fmt.Appendf(nil, `{"type":"answer","answer":{"type":"answer","sdp":"v=0"},"name":%q}`, name)) != nil {
			return
		}
	}
}

// usage is what processes have used.
type usage struct {
	at     time.Time
	cpu    time.Duration
	memory float64 // KiB
}

func use(all ...*deployment.Process) (u usage, err error) {
	u.at = time.Now()
	for _, p := range all {
		cpu, err := p.CPU()
		if err != nil {
			return u, err
		}
		memory, err := p.Memory()
		if err != nil {
			return u, err
		}
		u.cpu, u.memory = u.cpu+cpu, u.memory+memory
	}
	return u, nil
}

// load returns the CPU time since an earlier moment, in per cent of a core.
func (u usage) load(before usage) float64 {
	return 100 * (u.cpu - before.cpu).Seconds() / u.at.Sub(before.at).Seconds()
}

func (b *bench) natsProcesses() (all []*deployment.Process) {
	for _, s := range b.cluster.NATS {
		all = append(all, s.Process)
	}
	return all
}

func processes(d *deployment.Deployment) (all []*deployment.Process) {
	for _, n := range d.Nodes {
		all = append(all, n.Process)
	}
	return all
}

// measureIdle logs users in at the single server and, as many at each node, in the cluster.
func (b *bench) measureIdle(ctx context.Context) error {
	for i, d := range []*deployment.Deployment{b.single, b.cluster} {
		if err := b.idle(ctx, i, d); err != nil {
			return err
		}
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	return b.measureEmpty()
}

// measureEmpty measures what servers without users cost, and ends the one with a NATS server in its
// process.
func (b *bench) measureEmpty() error {
	const span = 15 * time.Second
	defer b.embedded.Close()
	all := []*deployment.Process{b.single.Nodes[0].Process, b.cluster.Nodes[0].Process, b.embedded.Nodes[0].Process}
	var before [3]usage
	for i, p := range all {
		var err error
		if before[i], err = use(p); err != nil {
			return err
		}
	}
	time.Sleep(span)
	for i, p := range all {
		after, err := use(p)
		if err != nil {
			return err
		}
		b.f.empty[i] = after.load(before[i])
	}
	return nil
}

// settle waits until the names of users who have left are released: until NATS has little to do.
func (b *bench) settle(ctx context.Context) error {
	const few = 100 // messages in a second
	for range 120 {
		before, err := b.natsMessages(ctx)
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		after, err := b.natsMessages(ctx)
		if err != nil || after-before < few {
			return err
		}
	}
	return errors.New("the names of users who have left are not released")
}

// natsMessages returns how many messages the NATS servers have received, from nodes and from each
// other.
func (b *bench) natsMessages(ctx context.Context) (sum float64, err error) {
	for _, s := range b.cluster.NATS {
		var v struct {
			Messages float64 `json:"in_msgs"`
		}
		if err := s.Value(ctx, "/varz", &v); err != nil {
			return 0, err
		}
		sum += v.Messages
	}
	return sum, nil
}

func (b *bench) idle(ctx context.Context, index int, d *deployment.Deployment) error {
	natsBefore, err := use(b.natsProcesses()...)
	if err != nil {
		return err
	}
	began := time.Now()
	var crowds []*crowd
	defer func() {
		for _, c := range crowds {
			c.stop()
		}
	}()
	for i, n := range d.Nodes {
		c, err := startCrowd(n.Server, i*b.plan.idle, b.plan.idle)
		if err != nil {
			return err
		}
		crowds = append(crowds, c)
	}
	for _, c := range crowds {
		if err := c.ready(); err != nil {
			return err
		}
	}
	count := len(d.Nodes) * b.plan.idle
	b.f.idle[index], b.f.logins[index] = count, float64(count)/time.Since(began).Seconds()
	if b.f.called[index], err = callIdle(d, b.plan.idle); err != nil || index == 0 {
		return err
	}
	natsAfter, err := use(b.natsProcesses()...)
	if err != nil {
		return err
	}
	b.f.natsPerName = (natsAfter.memory - natsBefore.memory) / nodes / float64(count)
	var stored struct {
		Bytes    float64 `json:"storage"`
		Messages int     `json:"messages"`
	}
	if err := b.cluster.NATS[0].Value(ctx, "/jsz", &stored); err != nil {
		return err
	}
	b.f.storedNames, b.f.diskPerName = stored.Messages, stored.Bytes/float64(count)
	return b.measureRest(ctx)
}

// callIdle calls the users that answer, each from another node.
func callIdle(d *deployment.Deployment, perNode int) (answered int, err error) {
	var total atomic.Int64
	err = together(len(d.Nodes), func(i int) error {
		c, err := dial(d.Nodes[(i+1)%len(d.Nodes)].Server)
		if err != nil {
			return err
		}
		defer c.ws.Close()
		if err := c.login(fmt.Sprint("visitor-", i)); err != nil {
			return err
		}
		_ = c.ws.SetReadDeadline(time.Now().Add(30 * time.Second))
		for k := 0; k < perNode; k += answerEvery {
			if err := c.send(fmt.Appendf(nil, `{"type":"offer","offer":{"type":"offer","sdp":"v=0"},"name":%q}`, idleName(i*perNode+k))); err != nil {
				return err
			}
			if _, err := c.until(`"answer"`); err != nil {
				return fmt.Errorf("%s does not answer: %w", idleName(i*perNode+k), err)
			}
			total.Add(1)
		}
		return nil
	})
	return int(total.Load()), err
}

// measureRest measures what idle names cost the nodes and the NATS servers.
func (b *bench) measureRest(ctx context.Context) error {
	began := time.Now()
	before, err := b.natsMessages(ctx)
	if err != nil {
		return err
	}
	node, err := use(processes(b.cluster)...)
	if err != nil {
		return err
	}
	nats, err := use(b.natsProcesses()...)
	if err != nil {
		return err
	}
	time.Sleep(b.restFor)
	after, err := b.natsMessages(ctx)
	if err != nil {
		return err
	}
	b.f.messagesIdle = (after - before) / time.Since(began).Seconds()
	nodeAfter, err := use(processes(b.cluster)...)
	if err != nil {
		return err
	}
	natsAfter, err := use(b.natsProcesses()...)
	b.f.rest = rest{nodeAfter.load(node) / nodes, natsAfter.load(nats) / nodes}
	return err
}

// latencies are the times that messages took from one client to another.
type latencies struct {
	p50, p99, max  time.Duration
	sent, received int
	rate           float64
}

// measureAcross sends messages at a fixed rate, at the single server and across nodes.
func (b *bench) measureAcross(context.Context) error {
	for i, d := range []*deployment.Deployment{b.single, b.cluster} {
		all := processes(d)
		before := make([]usage, len(all))
		var err error
		l, err := b.paced(d, func(begin bool) {
			for k, p := range all {
				u, e := use(p)
				if e == nil && !begin && i == 1 {
					b.f.atRate[k] = u.load(before[k])
				}
				if e == nil && !begin && i == 0 {
					b.f.atRate[nodes] = u.load(before[k])
				}
				before[k] = u
			}
		}, i == 1)
		if err != nil {
			return err
		}
		b.f.across[i] = l
	}
	return nil
}

// paced has pairs of users, at different nodes if there are several, send candidates to each other
// at goalRate.
func (b *bench) paced(d *deployment.Deployment, mark func(begin bool), nats bool) (l latencies, err error) {
	const burst = 20 * time.Millisecond // between two messages of a user
	senders := int(float64(goalRate) * burst.Seconds())
	var all []*client
	defer func() {
		for _, c := range all {
			_ = c.ws.NetConn().Close()
		}
	}()
	names := make([]string, 0, senders)
	for i := range senders / 2 {
		one, two := fmt.Sprintf("across-%d-a", i), fmt.Sprintf("across-%d-b", i)
		x, y, err := call(d.Nodes[i%len(d.Nodes)].Server, d.Nodes[(i+1)%len(d.Nodes)].Server, one, two, false)
		for _, c := range []*client{x, y} {
			if c != nil {
				all = append(all, c)
			}
		}
		if err != nil {
			return l, err
		}
		names = append(names, two, one)
	}
	epoch := time.Now()
	var measuring atomic.Bool
	var sent, received atomic.Int64
	taken := make([][]time.Duration, senders)
	var readers, writers sync.WaitGroup
	for i, c := range all {
		readers.Go(func() {
			for {
				frame, err := c.until(`"candidate"`)
				if err != nil {
					return
				}
				at, measured := sentAt(frame)
				if measured {
					received.Add(1)
					taken[i] = append(taken[i], time.Since(epoch)-at)
				}
			}
		})
	}
	stop := make(chan struct{})
	for i, c := range all {
		writers.Go(func() {
			time.Sleep(burst * time.Duration(i) / time.Duration(senders)) // spread evenly
			ticker := time.NewTicker(burst)
			defer ticker.Stop()
			for {
				select {
				case <-stop:
					return
				case <-ticker.C:
				}
				number := int(time.Since(epoch)) << 1
				if measuring.Load() {
					number |= 1
					sent.Add(1)
				}
				if c.send(candidateFor(names[i], number)) != nil {
					return
				}
			}
		})
	}
	time.Sleep(b.span / 4)
	var natsBefore, natsAfter usage
	if nats {
		natsBefore, _ = use(b.natsProcesses()...)
	}
	mark(true)
	measuring.Store(true)
	start := time.Now()
	time.Sleep(2 * b.span)
	measuring.Store(false)
	took := time.Since(start)
	mark(false)
	if nats {
		natsAfter, _ = use(b.natsProcesses()...)
		b.f.natsAtRate = natsAfter.load(natsBefore) / nodes
	}
	for deadline := time.Now().Add(5 * time.Second); received.Load() < sent.Load() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	writers.Wait()
	for _, c := range all {
		_ = c.ws.NetConn().Close()
	}
	readers.Wait()
	times := slices.Concat(taken...)
	if len(times) == 0 {
		return l, errors.New("nothing arrived")
	}
	slices.Sort(times)
	return latencies{times[len(times)/2], times[len(times)*99/100], times[len(times)-1], int(sent.Load()), int(received.Load()),
		float64(sent.Load()) / took.Seconds()}, nil
}

// sentAt returns when a candidate of paced was sent, and whether it is to be measured.
func sentAt(frame []byte) (at time.Duration, measured bool) {
	_, rest, _ := bytes.Cut(frame, []byte("candidate:"))
	text, _, _ := bytes.Cut(rest, []byte(" "))
	number, err := strconv.Atoi(string(text))
	return time.Duration(number >> 1), err == nil && number&1 == 1
}

// row is a row of the table.
type row struct {
	what            string
	single, cluster string
	goal, got       string
	missed          bool
}

// report prints the table and returns an error if a goal is missed.
func (b *bench) report() error {
	f := &b.f
	again, latency := quantile(f.again[1], 50), f.across[1]
	whole := f.called[1]*answerEvery >= f.idle[1] && latency.received == latency.sent
	rows := []row{
		f.within[0].row("messages relayed per CPU second within a node"),
		f.within[1].row("the same, of clients that can resume"),
		{fmt.Sprintf("across nodes at %d messages/s: p99 (ms)", goalRate), fmt.Sprintf("%.2f", ms(f.across[0].p99)), fmt.Sprintf("%.2f", ms(latency.p99)),
			fmt.Sprintf("< %.0f", ms(goalAcross)), fmt.Sprintf("%.2f", ms(latency.p99)), latency.p99 >= goalAcross},
		{"from kill -9 until a user can be called again: median (s)", fmt.Sprintf("%.2f", quantile(f.again[0], 50).Seconds()), fmt.Sprintf("%.2f", again.Seconds()),
			fmt.Sprintf("< %.0f", goalAgain.Seconds()), fmt.Sprintf("%.2f", again.Seconds()), again >= goalAgain},
		{"idle names", fmt.Sprint(f.idle[0]), fmt.Sprint(f.idle[1]), fmt.Sprintf("%d, all reached", nodes*b.plan.idle), fmt.Sprintf("%d; %d of %d called from another node answered", f.storedNames-nodes, f.called[1], f.idle[1]/answerEvery),
			f.idle[1] < nodes*b.plan.idle || !whole},
		{"logins per second", fmt.Sprintf("%.0f", f.logins[0]), fmt.Sprintf("%.0f", f.logins[1]), "", "", false},
		{"across nodes: median and longest (ms)", fmt.Sprintf("%.2f, %.0f", ms(f.across[0].p50), ms(f.across[0].max)), fmt.Sprintf("%.2f, %.0f", ms(latency.p50), ms(latency.max)), "", "", false},
		{"across nodes: messages sent and received", fmt.Sprintf("%d, %d", f.across[0].sent, f.across[0].received), fmt.Sprintf("%d, %d", latency.sent, latency.received), "all", "", latency.sent != latency.received},
		{fmt.Sprintf("CPU at %d messages/s, of a node (%% of a core)", goalRate), fmt.Sprintf("%.1f", f.atRate[nodes]), fmt.Sprintf("%.1f", mean(f.atRate[:nodes])), "", "", false},
		{fmt.Sprintf("CPU at %d messages/s, of a NATS server", goalRate), "", fmt.Sprintf("%.1f", f.natsAtRate), "", "", false},
		{"kill -9: p95 and longest (s)", fmt.Sprintf("%.2f, %.2f", quantile(f.again[0], 95).Seconds(), quantile(f.again[0], 100).Seconds()),
			fmt.Sprintf("%.2f, %.2f", quantile(f.again[1], 95).Seconds(), quantile(f.again[1], 100).Seconds()), "", fmt.Sprintf("%d users", len(f.again[1])), false},
		{"memory of a NATS server per name (KiB)", "", fmt.Sprintf("%.2f", f.natsPerName), "", "", false},
		{"disk of a NATS server per name (bytes)", "", fmt.Sprintf("%.0f", f.diskPerName), "", "", false},
		{"messages to NATS servers per second, all names idle", "", fmt.Sprintf("%.0f", f.messagesIdle), "", "", false},
		{"CPU of a server without users (% of a core)", fmt.Sprintf("%.2f", f.empty[0]), fmt.Sprintf("%.2f", f.empty[1]), "",
			fmt.Sprintf("%.2f with a NATS server in its process", f.empty[2]), false},
		{"CPU of a node, all names idle (% of a core)", "", fmt.Sprintf("%.2f", f.rest.node), "", "", false},
		{"CPU of a NATS server, all names idle", "", fmt.Sprintf("%.2f", f.rest.nats), "", "", false},
	}
	fmt.Printf("%s, %d cores, %s, load average %s before; %d pairs, %d in flight, %d rounds; %d idle connections per node\n\n", time.Now().Format(time.DateOnly), runtime.NumCPU(), runtime.Version(), b.busy, b.pairs, b.inFlight, b.rounds, b.plan.idle)
	fmt.Print(tableHead)
	return printRows(slices.Concat(rows, f.memoryRows()))
}

const tableHead = "| 3 nodes, 3 NATS servers | single | cluster | goal | got | |\n|---|---:|---:|---|---|---|\n"

// printRows prints the rows of a table and returns an error if a goal is missed.
func printRows(rows []row) error {
	missed := 0
	for _, r := range rows {
		mark := ""
		switch {
		case r.missed:
			mark, missed = "missed", missed+1
		case r.goal != "":
			mark = "met"
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", r.what, r.single, r.cluster, r.goal, r.got, mark)
	}
	if missed > 0 {
		return fmt.Errorf("%d goals were missed", missed)
	}
	return nil
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// quantile returns the time that percent of the times do not exceed; without any, one that misses
// each goal.
func quantile(times []time.Duration, percent int) time.Duration {
	if len(times) == 0 {
		return math.MaxInt64
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

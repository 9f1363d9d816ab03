//go:build !quick

package nats

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"parley/signal/cluster"
	"parley/signal/cluster/natsserver"
	"parley/signal/cluster/natstest"
)

const (
	historyClients = 8
	historyNodes   = 3
	historyNames   = 8
)

// faultyCluster is a cluster whose nodes and NATS servers fail, and its history.
type faultyCluster struct {
	*history
	t       testing.TB
	lease   time.Duration
	longest time.Duration // of a fault
	servers []*natstest.Server
	proxies [historyNodes][]*natstest.Proxy // of each node, one for each server
	stop    chan struct{}
	counts  map[string]int // of faults; of the goroutine that makes them

	nodesMu sync.Mutex // guards nodes
	nodes   [historyNodes]*historyNode
	pause   time.Duration // of a client between operations, at most
}

func startFaultyCluster(t testing.TB, servers []*natstest.Server, lease, longest, pause time.Duration) *faultyCluster {
	c := &faultyCluster{history: newHistory(), t: t, lease: lease, longest: longest, servers: servers, stop: make(chan struct{}), counts: make(map[string]int), pause: pause}
	for i := range c.nodes {
		for _, s := range servers {
			c.proxies[i] = append(c.proxies[i], natstest.StartProxy(t, s))
		}
		c.startNode(i)
	}
	c.waitUntilReady()
	return c
}

// startNode starts the node with that index, in place of one that was killed.
func (c *faultyCluster) startNode(i int) {
	var urls []string
	for _, p := range c.proxies[i] {
		urls = append(urls, p.URL)
	}
	n := c.history.start(c.t, Options{Servers: urls, Lease: c.lease})
	c.nodesMu.Lock()
	defer c.nodesMu.Unlock()
	c.nodes[i] = n
}

func (c *faultyCluster) node(i int) *historyNode {
	c.nodesMu.Lock()
	defer c.nodesMu.Unlock()
	return c.nodes[i]
}

func (c *faultyCluster) waitUntilReady() {
	for i := range c.nodes {
		eventually(c.t, "the node is ready", func() bool {
			e, _ := c.node(i).do(command{Op: "ready"})
			return e.Result == "ok"
		})
	}
}

func (c *faultyCluster) end() {
	for i := range c.nodes {
		c.node(i).end()
	}
}

// peer returns a session that was attached lately, other than s, or nil.
func (c *faultyCluster) peer(random *rand.Rand, s *historySession) *historySession {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := len(c.byNumber) - 1 - random.IntN(min(2*historyClients, len(c.byNumber))); c.byNumber[i] != s {
		return c.byNumber[i]
	}
	return nil
}

// client claims, looks up, releases and sends, until stop is closed.
func (c *faultyCluster) client(random *rand.Rand) {
	latest := make(map[string]*historySession)
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		name := "name" + strconv.Itoa(random.IntN(historyNames))
		s := c.attach(c.node(random.IntN(historyNodes)), name)
		if s == nil {
			c.wait(100 * time.Millisecond)
			continue
		}
		before := latest[name]
		if random.IntN(3) == 0 {
			before = nil
		}
		result := c.claim(s, before)
		if result == "unavailable" {
			c.wait(time.Second)
		}
		for range random.IntN(8) {
			if random.IntN(4) == 0 {
				if _, err := c.lookup(c.node(random.IntN(historyNodes)), name); err != nil && err != cluster.ErrUnavailable {
					c.t.Error(err)
				}
			} else if to := c.peer(random, s); to != nil {
				for range 1 + random.IntN(4) {
					c.send(s, to)
				}
			}
			c.wait(time.Duration(random.Int64N(int64(c.pause))))
		}
		switch {
		case result == "ok" && before != nil && random.IntN(2) == 0:
			c.release(before, false) // late: the name has a successor
			fallthrough
		case result == "ok" && random.IntN(3) == 0:
			latest[name] = s
		case result == "ok":
			c.release(s, false)
			fallthrough
		default:
			if random.IntN(4) == 0 { // while others send to it
				c.detach(s)
			}
		}
	}
}

// wait waits, or until the clients are to stop.
func (c *faultyCluster) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.stop:
	}
}

// fault disturbs the cluster once.
func (c *faultyCluster) fault(random *rand.Rand) {
	i, d := random.IntN(historyNodes), time.Duration(random.Int64N(int64(c.longest))).Round(time.Millisecond)
	kinds := []string{"kill of a node", "pause of a node", "partition of a node", "partition of two nodes"}
	if len(c.servers) > 1 {
		kinds = append(kinds, "kill of a NATS server", "pause of a NATS server", "election")
	}
	kind := kinds[random.IntN(len(kinds))]
	c.disturb(kind, i, random.IntN(len(c.servers)), d)
}

// disturb makes a fault of a node or a NATS server, for d.
func (c *faultyCluster) disturb(kind string, i, server int, d time.Duration) {
	from, s := c.now(), c.servers[server]
	if c.counts[kind]++; testing.Verbose() {
		c.t.Logf("%s: %s, node %d, server %d, for %s", from.Round(time.Millisecond), kind, i, server, d)
	}
	c.mu.Lock()
	c.disturbed = append(c.disturbed, span{from, never})
	c.mu.Unlock()
	switch kind {
	case "kill of a node":
		c.kill(c.node(i))
		c.startNode(i)
	case "pause of a node":
		n := c.node(i)
		n.pause()
		c.wait(d)
		c.mu.Lock()
		n.paused = append(n.paused, span{from, c.now()})
		c.mu.Unlock()
		n.resume()
	case "partition of a node", "partition of two nodes":
		proxies := c.proxies[i]
		if kind == "partition of two nodes" {
			proxies = append(proxies[:len(proxies):len(proxies)], c.proxies[(i+1)%historyNodes]...)
		}
		for _, p := range proxies {
			p.Cut()
		}
		c.wait(d)
		for _, p := range proxies {
			p.Mend()
		}
	case "kill of a NATS server":
		s.Kill()
		c.wait(d)
		s.Restart()
	case "pause of a NATS server":
		s.Pause()
		c.wait(d)
		s.Resume()
	case "election":
		c.elect()
	}
	c.mu.Lock()
	c.disturbed[len(c.disturbed)-1].to = c.now()
	c.mu.Unlock()
}

// elect makes the leaders of the buckets step down.
func (c *faultyCluster) elect() {
	conn, err := natsgo.Connect(strings.Join(natstest.URLs(c.servers), ","), natsgo.Timeout(operationTimeout))
	if err != nil {
		return
	}
	defer conn.Close()
	for _, bucket := range []string{"names", "nodes"} {
		_, _ = conn.Request("$JS.API.STREAM.LEADER.STEPDOWN.KV_parley_"+bucket, nil, operationTimeout) // there may be none now
	}
}

// run lets clients use the cluster for d, while faults disturb it, and returns what is wrong.
func (c *faultyCluster) run(d time.Duration, seed uint64, first func()) (wrong []string) {
	end := c.now() + d
	var clients sync.WaitGroup
	for i := range historyClients {
		clients.Go(func() { c.client(rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	if first != nil {
		first()
	}
	random := rand.New(rand.NewPCG(seed, historyClients))
	for c.now() < end {
		c.wait(c.lease/10 + time.Duration(random.Int64N(int64(c.lease/4))))
		if c.now() < end {
			c.fault(random)
		}
	}
	c.waitUntilReady()
	close(c.stop)
	clients.Wait()
	settled := time.Now().Add(patience + c.lease)
	for !c.settled() && time.Now().Before(settled) {
		time.Sleep(20 * time.Millisecond)
	}
	for i := range historyNames {
		for k := range c.nodes {
			name := "name" + strconv.Itoa(i)
			if found, err := c.lookup(c.node(k), name); err != nil {
				wrong = append(wrong, fmt.Sprintf("lookup of %s at the end: %v", name, err))
			} else if found != nil && found.node.killed < c.now()-2*c.lease {
				wrong = append(wrong, fmt.Sprintf("lookup of %s at the end: found session %d, whose node was killed at %s", name, found.number, found.node.killed))
			}
		}
	}
	wrong = append(append(wrong, c.checkNames()...), c.checkMessages()...)
	c.t.Logf("%s; faults: %v; %s", c.history.counts(), c.counts, c.now().Round(time.Second))
	return wrong
}

// seed returns the seed of the histories, which is that of PARLEY_CLUSTER_SEED if that is set.
func seed(t testing.TB) uint64 {
	s := rand.Uint64()
	if text := os.Getenv("PARLEY_CLUSTER_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("PARLEY_CLUSTER_SEED: %v", err)
		}
	}
	t.Logf("seed %d", s)
	return s
}

// TestHistories checks a history on one NATS server, and one on three, which fail as well.
// With PARLEY_CLUSTER_FAULTS, a time such as 30m, it checks histories of three minutes each on
// three servers for that long. In the first, a node is paused for a minute, with leases of the
// default length.
func TestHistories(t *testing.T) {
	t.Parallel()
	s := seed(t)
	check := func(t *testing.T, servers []*natstest.Server, lease, pause, d time.Duration, s uint64, first func(*faultyCluster)) {
		c := startFaultyCluster(t, servers, lease, lease*3/2, pause)
		defer c.end()
		for _, w := range c.run(d, s, func() { first(c) }) {
			t.Error(w)
		}
	}
	none := func(*faultyCluster) {}
	if text := os.Getenv("PARLEY_CLUSTER_FAULTS"); text != "" {
		total, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("PARLEY_CLUSTER_FAULTS: %v", err)
		}
		began := time.Now()
		for i := uint64(0); time.Since(began) < total; i++ {
			t.Run(fmt.Sprint("seed ", s+i), func(t *testing.T) {
				lease, first := 15*time.Second, none
				if i == 0 {
					lease, first = defaultLease, func(c *faultyCluster) { c.disturb("pause of a node", 0, 0, time.Minute) }
				}
				check(t, natstest.StartCluster(t, 3), lease, 200*time.Millisecond, min(3*time.Minute, total-time.Since(began)), s+i, first)
			})
		}
		return
	}
	t.Run("one server", func(t *testing.T) {
		t.Parallel()
		check(t, []*natstest.Server{natstest.Start(t, natsserver.Options{})}, testLease, 60*time.Millisecond, 10*time.Second, s, none)
	})
	t.Run("three servers", func(t *testing.T) {
		t.Parallel()
		check(t, natstest.StartCluster(t, 3), 6*time.Second, 60*time.Millisecond, 12*time.Second, s, none)
	})
}

// TestHistoryOfUnfencedRelease releases a name after a successor has taken it: the checker accepts
// the history, and finds the defect of a node that removes the claim of the successor.
func TestHistoryOfUnfencedRelease(t *testing.T) {
	t.Parallel()
	server := natstestServer(t)
	for _, unfenced := range []bool{false, true} {
		h := newHistory()
		var sessions [3]*historySession
		for i := range sessions {
			n := h.start(t, Options{Servers: []string{server}, Lease: time.Minute})
			t.Cleanup(n.end)
			sessions[i] = h.attach(n, fmt.Sprint("name ", unfenced))
		}
		results := []string{h.claim(sessions[0], nil), h.claim(sessions[1], sessions[0])}
		h.release(sessions[0], unfenced)
		results = append(results, h.claim(sessions[2], nil))
		if want := map[bool]string{false: "taken", true: "ok"}[unfenced]; !slices.Equal(results, []string{"ok", "ok", want}) {
			t.Fatalf("claims with an unfenced release %v: got %q, want ok, ok and %s", unfenced, results, want)
		}
		if wrong := h.checkNames(); len(wrong) > 0 != unfenced {
			t.Errorf("unfenced release %v: the checker has found %q", unfenced, wrong)
		}
	}
}

// TestMessageChecker checks that the checker of messages finds each defect.
func TestMessageChecker(t *testing.T) {
	t.Parallel()
	n := &historyNode{killed: never}
	p := pair{&historySession{number: 1, node: n, detached: never}, &historySession{number: 2, node: n, detached: never}}
	sent := []sentMessage{{at: time.Second}, {at: 2 * time.Second}, {at: 3 * time.Second, gones: 1}}
	for _, c := range []struct {
		name     string
		received []int
		gones    []time.Duration
		want     string
	}{
		{"all arrived", []int{0, 1, 2}, nil, ""},
		{"one reported", []int{0, 2}, []time.Duration{4 * time.Second}, ""},
		{"one lost", []int{0, 2}, nil, "message 1, sent at 2s, was lost"},
		{"lost after the report", []int{0, 1}, []time.Duration{2500 * time.Millisecond}, "message 2, sent at 3s, was lost"},
		{"reported too late", []int{0, 2}, []time.Duration{time.Minute}, "at 1m0s only"},
		{"twice", []int{0, 1, 1, 2}, nil, "message 1 arrived after message 1"},
		{"reordered", []int{0, 2, 1}, nil, "message 1 arrived after message 2"},
		{"invented", []int{0, 1, 2, 3}, nil, "message 3 arrived and was never sent"},
	} {
		tr := &traffic{sent: sent, received: c.received, gones: c.gones, arrived: make(map[int]time.Duration)}
		for _, number := range c.received {
			tr.arrived[number] = 5 * time.Second
		}
		wrong := strings.Join(p.check(tr), "\n")
		if wrong != "" != (c.want != "") || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, wrong, c.want)
		}
	}
}

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
	took := c.now()
	began := time.Now()
	wrong = append(append(wrong, c.checkNames()...), c.checkMessages()...)
	c.t.Logf("%s; faults: %v; %s, checked in %s", c.history.counts(), c.counts, took.Round(time.Second), time.Since(began).Round(time.Millisecond))
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

// TestNameChecker checks that the checker of names finds each defect, and accepts what faults may
// lead to. The name has two sessions of node 1, whose lease may have ended from 10 to 20 seconds,
// and two of node 2. The claim of session 4, with the secret of session 1, was not answered.
func TestNameChecker(t *testing.T) {
	t.Parallel()
	claim := func(at, session, secret int, revision uint64) operation {
		return operation{kind: opClaim, session: session, holder: secret, revision: revision, result: "ok", call: second(at)}
	}
	taken := func(at, session, secret, holder int) operation {
		return operation{kind: opClaim, session: session, holder: secret, found: holder, result: "taken", call: second(at)}
	}
	lookup := func(at, found int) operation { return operation{kind: opLookup, found: found, call: second(at)} }
	release := func(at, session int) operation { return operation{kind: opRelease, session: session, call: second(at)} }
	for _, c := range []struct {
		name       string
		unanswered int // when session 4 claims; 0: never
		operations []operation
		want       bool
	}{
		{"claimed and released", 0, []operation{claim(1, 1, 0, 1), lookup(2, 1), release(3, 1), lookup(4, 0), claim(5, 3, 0, 3), lookup(6, 3)}, true},
		{"two holders", 0, []operation{claim(1, 1, 0, 1), claim(2, 3, 0, 2)}, false},
		{"taken with the secret", 0, []operation{claim(1, 1, 0, 1), claim(2, 3, 1, 2), lookup(3, 3)}, true},
		{"taken with the secret of another session", 0, []operation{claim(1, 1, 0, 1), claim(2, 3, 2, 2)}, false},
		{"an earlier revision", 0, []operation{claim(1, 1, 0, 2), claim(2, 3, 1, 1)}, false},
		{"the holder before is found", 0, []operation{claim(1, 1, 0, 1), claim(2, 3, 1, 2), lookup(3, 1)}, false},
		{"nobody is found", 0, []operation{claim(1, 1, 0, 1), lookup(2, 0)}, false},
		{"a late release frees the claim of the successor", 0, []operation{claim(1, 1, 0, 1), claim(2, 3, 1, 2), release(3, 1), claim(4, 2, 0, 3)}, false},
		{"taken by its holder", 0, []operation{claim(1, 1, 0, 1), taken(2, 3, 0, 1)}, true},
		{"taken by the holder before", 0, []operation{claim(1, 1, 0, 1), claim(2, 3, 1, 2), taken(3, 2, 0, 1)}, false},
		{"taken by a session whose secret was presented", 0, []operation{claim(1, 1, 0, 1), taken(2, 3, 1, 1)}, false},
		{"taken while nobody holds it", 0, []operation{claim(1, 1, 0, 1), release(2, 1), taken(3, 3, 0, 1)}, false},
		{"claimed after the end of the lease", 0, []operation{claim(1, 1, 0, 1), lookup(12, 0), claim(13, 3, 0, 2)}, true},
		{"claimed after the lease was there again", 0, []operation{claim(1, 1, 0, 1), lookup(12, 0), claim(25, 3, 0, 2)}, false},
		{"claimed of a node that keeps its lease", 0, []operation{claim(1, 3, 0, 1), claim(12, 1, 0, 2)}, false},
		{"claimed back after the end of the lease", 0, []operation{claim(1, 1, 0, 1), claim(12, 3, 0, 2), release(13, 3), lookup(30, 1), taken(31, 4, 0, 1)}, true},
		{"claimed back long after the end of the lease", 0, []operation{claim(1, 1, 0, 1), claim(12, 3, 0, 2), release(25, 3), lookup(30, 1)}, false},
		{"claimed back before the end of the lease", 0, []operation{claim(1, 1, 0, 1), claim(2, 3, 1, 2), release(3, 3), lookup(4, 1)}, false},
		{"the claim has its effect", 2, []operation{claim(1, 1, 0, 1), lookup(3, 4), claim(5, 3, 0, 3)}, true},
		{"the claim has its effect later", 2, []operation{claim(1, 1, 0, 1), lookup(3, 1), lookup(30, 4)}, true},
		{"the claim has its effect before it was made", 5, []operation{claim(1, 1, 0, 1), lookup(3, 4)}, false},
		{"the claim has its effect against another session", 2, []operation{claim(1, 3, 0, 1), lookup(3, 4)}, false},
		{"the claim has its effect and is undone unnoticed", 2, []operation{claim(1, 1, 0, 1), claim(30, 3, 0, 3)}, true},
		{"the claim has no effect", 2, []operation{claim(1, 1, 0, 1), lookup(3, 1), release(4, 1), lookup(5, 0)}, true},
		{"the claim is answered by nothing else", 2, []operation{claim(1, 3, 0, 1), claim(30, 1, 0, 3)}, false},
		{"the claim takes the name of the dead node unnoticed", 12, []operation{claim(1, 2, 0, 1), claim(25, 3, 0, 3)}, true},
	} {
		h := checkedHistory()
		if c.unanswered > 0 {
			s := h.byNumber[3]
			s.claimed, s.before, s.uncertain, s.mayClaim = false, 1, second(c.unanswered), &span{second(c.unanswered), second(c.unanswered) + disturbance}
		}
		for _, o := range c.operations {
			o.name = "name"
			h.add(o, o.call, o.call+500*time.Millisecond)
		}
		if wrong := h.checkNames(); len(wrong) == 0 != c.want {
			t.Errorf("%s: got %q, want it accepted: %v", c.name, wrong, c.want)
		}
	}
}

func second(n int) time.Duration { return time.Duration(n) * time.Second }

// checkedHistory returns a history without operations on two nodes with two sessions each.
func checkedHistory() *history {
	h := newHistory()
	var node *historyNode
	for i := range 4 {
		if i%2 == 0 {
			node = &historyNode{killed: never}
		}
		h.byNumber = append(h.byNumber, &historySession{number: i + 1, node: node, name: "name", claimed: true, released: never, detached: never, uncertain: never})
	}
	h.byNumber[0].node.dead = []span{{second(10), second(20)}}
	return h
}

// TestNameCheckerDecides checks that names can be checked after a minute in which 50 claims were
// not answered and 50 sessions might have claimed their names back, in a history that is wrong
// after that: the checker would have to try all orders if these were operations.
func TestNameCheckerDecides(t *testing.T) {
	t.Parallel()
	for _, wrong := range []bool{false, true} {
		h := checkedHistory()
		h.byNumber[0].node.dead = []span{{second(60), second(120)}}
		at, revision, holder := second(1), uint64(0), 0
		add := func(o operation, d time.Duration) {
			o.name = "name"
			h.add(o, at, at+d)
			at += 100 * time.Millisecond
		}
		session := func(node *historyNode) *historySession {
			s := &historySession{number: len(h.byNumber) + 1, node: node, name: "name", claimed: true, released: never, detached: never, uncertain: never}
			h.byNumber = append(h.byNumber, s)
			return s
		}
		for i := range 100 {
			s := session(h.byNumber[2*(i%2)].node)
			revision++
			add(operation{kind: opClaim, session: s.number, holder: holder, revision: revision, result: "ok"}, 50*time.Millisecond)
			holder = s.number
			for range 3 {
				add(operation{kind: opLookup, found: holder}, 50*time.Millisecond)
			}
		}
		at = max(at, second(60))
		for range 50 {
			s := session(h.byNumber[2].node)
			s.claimed, s.before, s.uncertain, s.mayClaim = false, holder-1, at, &span{at, at + disturbance}
			for range 8 {
				add(operation{kind: opLookup, found: holder}, 500*time.Millisecond)
			}
		}
		if wrong {
			add(operation{kind: opLookup, found: 1}, 50*time.Millisecond)
		}
		began := time.Now()
		if found := h.checkNames(); len(found) > 0 != wrong || strings.Contains(fmt.Sprint(found), "could not be checked") {
			t.Errorf("a wrong history %v: got %q", wrong, found)
		}
		t.Logf("%d operations: checked in %s", len(h.operations), time.Since(began))
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

//go:build !quick

package nats

import (
	"context"
	"fmt"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"parley/signal/cluster"
	"parley/signal/cluster/nats/links"
	"parley/signal/cluster/nats/names"
	"parley/signal/cluster/natsserver"
	"parley/signal/cluster/natstest"
)

// remote is a session of a node in another process, which records its messages.
type remote struct {
	cluster.SessionID
	node *nodeProcess
	got  chan receivedMessage
}

// startRemote starts a node in another process and attaches a session.
func startRemote(t *testing.T, o Options, environment ...string) *remote {
	t.Helper()
	r := &remote{got: make(chan receivedMessage, 1<<16)}
	r.node = startNodeProcess(t, o, func(e event) {
		if e.Message != nil {
			r.got <- *e.Message
		}
	}, environment...)
	t.Cleanup(r.node.end)
	e, _ := r.node.do(command{Op: "attach"})
	r.SessionID = e.Session
	return r
}

func (r *remote) claim(c command) string {
	c.Op, c.Session = "claim", r.Number
	e, _ := r.node.do(c)
	return e.Result
}

func (r *remote) lookup(name string) (cluster.SessionID, string) {
	e, _ := r.node.do(command{Op: "lookup", Name: name})
	return e.Session, e.Result
}

func (r *remote) send(to cluster.SessionID, text string) {
	r.node.do(command{Op: "send", Session: r.Number, To: to, Text: text})
}

func (r *remote) next(t *testing.T) receivedMessage {
	t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(patience):
		t.Fatalf("no message within %s", patience)
		return receivedMessage{}
	}
}

// exchangeRemote sends messages both ways and waits for them.
func exchangeRemote(t *testing.T, a, b *remote) {
	t.Helper()
	for i := range 3 {
		text := fmt.Sprint("message ", i)
		for _, pair := range [][2]*remote{{a, b}, {b, a}} {
			pair[0].send(pair[1].SessionID, text)
			if m := pair[1].next(t); m.Kind != cluster.Data || m.Text != text {
				t.Fatalf("message: got %+v, want %q", m, text)
			}
		}
	}
}

// TestKilledNode kills the process of a node: the client of a session proves with its secret that a
// name is its own, and has it at another node at once; others can claim the other name when the
// lease has ended, and not before; and a session that was in a call learns that it has ended.
func TestKilledNode(t *testing.T) {
	t.Parallel()
	o := Options{Servers: []string{natstestServer(t)}, Lease: 5 * time.Second}
	killed, other := startRemote(t, o), startNode(t, o)
	for i, name := range []string{"alice", "carol"} {
		if got := killed.claim(command{Name: name, Secret: uint32(i + 1)}); got != "ok" {
			t.Fatalf("claim of %s: got %s", name, got)
		}
	}
	bob := attach(other)
	killed.send(bob.SessionID, "before")
	if m := bob.next(t); string(m.Payload) != "before" {
		t.Fatalf("message: got %+v", m)
	}
	killed.node.kill()
	ended := time.Now()
	if err := bob.claim(cluster.Claim{Name: call("carol")}); !isTaken(err) {
		t.Errorf("claim by another client before the lease has ended: got %v, want a TakenError", err)
	}
	if err := bob.claim(cluster.Claim{Name: call("alice"), Presented: secretHash(1)}); err != nil {
		t.Errorf("claim with the secret: got %v", err)
	}
	if took := time.Since(ended); took > o.Lease/2 {
		t.Errorf("claim with the secret took %s, want less than the rest of the lease", took)
	}
	bob.node.Send(killed.SessionID, cluster.Message{Kind: cluster.Data, From: bob.SessionID, Call: 1}, nil)
	if m := bob.next(t); m.Kind != cluster.Gone || m.From != killed.SessionID || m.Reason != cluster.Disconnected {
		t.Errorf("message to the session in the call: got %+v, want Gone", m)
	}
	eventually(t, "the other name is free", func() bool { return bob.claim(cluster.Claim{Name: call("carol")}) == nil })
}

// TestPartitionOfTwo cuts two of three nodes off for longer than their leases. The third goes on
// and can have their names; when they are back, the sessions whose names were not taken have
// theirs.
func TestPartitionOfTwo(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	p := natstest.StartProxy(t, server)
	cut, alsoCut := startNode(t, Options{Servers: []string{p.URL}}), startNode(t, Options{Servers: []string{p.URL}})
	third := startNode(t, Options{Servers: []string{server.URL}})
	alice, carol, bob, dave := attach(cut), attach(alsoCut), attach(third), attach(third)
	alice.mustClaim(t, "alice")
	carol.mustClaim(t, "carol")
	bob.mustClaim(t, "bob")
	exchange(t, alice, bob)
	exchange(t, alice, carol)
	p.Cut()
	if m := bob.next(t); m.Kind != cluster.Gone || m.From != alice.SessionID {
		t.Errorf("message to the third node: got %+v, want Gone", m)
	}
	eventually(t, "alice's name is free", func() bool { return dave.claim(cluster.Claim{Name: call("alice")}) == nil })
	exchange(t, bob, dave)
	p.Mend()
	for want := map[cluster.Kind]int{cluster.Gone: 2, cluster.Lost: 1}; len(want) > 0; {
		m := alice.next(t)
		if want[m.Kind]--; want[m.Kind] < 0 {
			t.Fatalf("message to the session whose name was taken: got %+v", m)
		} else if want[m.Kind] == 0 {
			delete(want, m.Kind)
		}
	}
	for _, n := range []*Node{cut, alsoCut, third} {
		eventually(t, "the node is ready", func() bool { return n.Ready() == nil }) // carol's node may not be connected yet
		eventually(t, "carol is found", func() bool {
			holder, err := n.Lookup(t.Context(), call("carol"))
			return err == nil && holder == carol.SessionID
		})
		if holder, err := n.Lookup(t.Context(), call("alice")); err != nil || holder != dave.SessionID {
			t.Errorf("lookup of alice: got %s, %v, want the session that has taken the name", holder, err)
		}
	}
}

// capturing is a network on which requests succeed and go nowhere.
type capturing struct {
	network
	lane chan uint64
	data chan []byte
}

func (c capturing) SendBatch(_ context.Context, _ cluster.NodeID, lane uint64, data []byte) ([]byte, error) {
	c.lane <- lane
	c.data <- data
	return []byte{1}, nil
}

// encoded returns a batch from one session to another, and its lane.
func encoded(t *testing.T, n *Node, from, to cluster.SessionID) (lane uint64, data []byte) {
	t.Helper()
	c := capturing{network{n}, make(chan uint64, 1), make(chan []byte, 1)}
	links.New(t.Context(), c, n.metrics.links).Send(to, cluster.Message{Kind: cluster.Data, From: from}, nil)
	return <-c.lane, <-c.data
}

// TestSlowConsumer sends more to a node than may wait in it, while a receiver does not return: what
// the NATS client drops is sent again, and each message arrives once and in order.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	server := natstestServer(t)
	o := Options{Servers: []string{server}, Lease: time.Minute}
	sender, slow := startNode(t, o), startNode(t, o)
	alice, bob := attach(sender), attach(slow)
	blocked := &blockedReceiver{release: make(chan struct{}), entered: make(chan struct{})}
	blockedID := slow.Attach(blocked)
	conn, err := natsgo.Connect(server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lane, _ := encoded(t, sender, alice.SessionID, bob.SessionID)
	publish := func(data []byte) {
		m := natsgo.NewMsg(slow.laneSubject(slow.ID(), lane))
		m.Reply, m.Data = "nobody", data
		if err := conn.PublishMsg(m); err != nil {
			t.Error(err)
		}
	}
	_, first := encoded(t, sender, cluster.SessionID{Node: cluster.NodeID{1}, Number: 1}, blockedID)
	publish(first)
	<-blocked.entered
	for range maxPending/links.MaxBatch + 1 {
		publish(make([]byte, links.MaxBatch))
	}
	eventually(t, "messages arrive faster than they are received", func() bool { return value(t, slow.metrics.slow) > 0 })
	const count = 300
	for i := range count {
		alice.send(bob, cluster.Candidate, fmt.Sprint(i))
		bob.send(alice, cluster.Candidate, fmt.Sprint(i))
	}
	eventually(t, "messages are sent again", func() bool { return value(t, sender.metrics.retries) > 0 })
	close(blocked.release)
	for _, c := range []*client{alice, bob} {
		for i := range count {
			if m := c.next(t); string(m.Payload) != fmt.Sprint(i) {
				t.Fatalf("message %d: got %+v", i, m)
			}
		}
	}
}

// blockedReceiver is a receiver that does not return until it is released.
type blockedReceiver struct{ release, entered chan struct{} }

func (b *blockedReceiver) Receive(cluster.Message, cluster.Batch) {
	close(b.entered)
	<-b.release
}

// TestDiskFull fills the disk of one of three NATS servers, the leader of the names: it stops to
// take part, and the others go on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	servers := natstest.StartClusterOn(t, natstest.Machine{Disk: 8 << 20}, natstest.Machine{}, natstest.Machine{})
	o := Options{Servers: natstest.URLs(servers), Lease: 20 * time.Second}
	a, b := startNode(t, o), startNode(t, o)
	for _, n := range []*Node{a, b} {
		eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
	}
	alice, bob := attach(a), attach(b)
	alice.mustClaim(t, "alice")
	lead(t, a, "nats0")
	servers[0].FillDisk()
	for i := range 50 {
		name := fmt.Sprint("user ", i)
		eventually(t, "the claim of "+name, func() bool { return attach(b).claim(cluster.Claim{Name: call(name)}) == nil })
	}
	exchange(t, alice, bob)
	if holder, err := b.Lookup(t.Context(), call("alice")); err != nil || holder != alice.SessionID {
		t.Errorf("lookup: got %s, %v", holder, err)
	}
	if err := bob.claim(cluster.Claim{Name: call("alice")}); !isTaken(err) {
		t.Errorf("claim of a name that is held: got %v, want a TakenError", err)
	}
	if ended := value(t, a.metrics.leasesLost) + value(t, b.metrics.leasesLost); ended > 0 {
		t.Errorf("leases that have ended: got %v, want 0", ended)
	}
	if leader := leaderOf(t, a, "names"); leader == "nats0" {
		t.Error("the server whose disk is full leads the names")
	}
}

// leaderOf returns the name of the NATS server that leads a bucket, "" if there is none now.
func leaderOf(t *testing.T, n *Node, bucket string) string {
	stream, err := n.js.Stream(t.Context(), "KV_parley_"+bucket)
	if err != nil || stream.CachedInfo().Cluster == nil {
		return ""
	}
	return stream.CachedInfo().Cluster.Leader
}

// lead makes a NATS server the leader of both buckets.
func lead(t *testing.T, n *Node, server string) {
	t.Helper()
	for _, bucket := range []string{"names", "nodes"} {
		eventually(t, server+" leads the "+bucket, func() bool {
			if leaderOf(t, n, bucket) == server {
				return true
			}
			placement := fmt.Sprintf(`{"placement":{"preferred":%q}}`, server)
			_, _ = n.conn.Request("$JS.API.STREAM.LEADER.STEPDOWN.KV_parley_"+bucket, []byte(placement), operationTimeout)
			return false
		})
	}
}

// TestClocksApart runs nodes whose clocks are ten minutes apart: nobody notices.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	o := Options{Servers: []string{natstestServer(t)}, Lease: testLease}
	ahead, behind := startRemote(t, o, natstest.Clock(10*time.Minute)), startRemote(t, o, natstest.Clock(-10*time.Minute))
	if got := ahead.claim(command{Name: "alice"}); got != "ok" {
		t.Fatalf("claim: got %s", got)
	}
	exchangeRemote(t, ahead, behind)
	for ended := time.Now().Add(2 * testLease); time.Now().Before(ended); time.Sleep(20 * time.Millisecond) {
		if got := behind.claim(command{Name: "alice"}); got != "taken" {
			t.Fatalf("claim of a name that is held: got %s, want taken", got)
		}
		if holder, result := behind.lookup("alice"); holder != ahead.SessionID {
			t.Fatalf("lookup: got %s, %s", holder, result)
		}
	}
	exchangeRemote(t, ahead, behind)
	ahead.node.kill()
	eventually(t, "the name is free", func() bool { return behind.claim(command{Name: "alice"}) == "ok" })
}

// TestServerClocksApart moves the leadership of the buckets between NATS servers whose clocks are
// ten minutes apart: names stay with their sessions, and those of killed nodes are free after a
// while.
func TestServerClocksApart(t *testing.T) {
	t.Parallel()
	clocks := []time.Duration{0, 10 * time.Minute, -10 * time.Minute}
	var machines []natstest.Machine
	for _, c := range clocks {
		machines = append(machines, natstest.Machine{Clock: c})
	}
	o := Options{Servers: natstest.URLs(natstest.StartClusterOn(t, machines...)), Lease: 4 * time.Second}
	a, b := startNode(t, o), startNode(t, o)
	for _, n := range []*Node{a, b} {
		eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
	}
	alice, bob := attach(a), attach(b)
	alice.mustClaim(t, "alice")
	for _, i := range []int{1, 2} {
		server, name := fmt.Sprint("nats", i), fmt.Sprint("user", i)
		lead(t, a, server)
		killed := startRemote(t, o)
		if got := killed.claim(command{Name: name}); got != "ok" {
			t.Fatalf("claim while %s leads: got %s", server, got)
		}
		entry, err := a.buckets.Load().names.Get(t.Context(), names.Key(call(name)))
		if err != nil {
			t.Fatal(err)
		}
		if ahead := time.Until(entry.Created()).Round(time.Minute); ahead != clocks[i] {
			t.Fatalf("clock of %s: got %s ahead, want %s", server, ahead, clocks[i])
		}
		killed.node.kill()
		for began := time.Now(); bob.claim(cluster.Claim{Name: call(name)}) != nil; time.Sleep(20 * time.Millisecond) {
			if time.Since(began) > 4*o.Lease {
				t.Fatalf("the name of a node that was killed while %s led is not free within %s", server, 4*o.Lease)
			}
		}
		eventually(t, "alice is found", func() bool { return found(t, b, "alice", alice.SessionID) })
		// The server may find that leases have ended, which were written by the one before.
		eventually(t, "messages arrive", func() bool {
			bob.drain()
			alice.send(bob, cluster.Data, server)
			m := bob.next(t)
			return m.Kind == cluster.Data && string(m.Payload) == server
		})
	}
}

// found reports whether a node finds the session that holds a name.
func found(t *testing.T, n *Node, name string, session cluster.SessionID) bool {
	holder, err := n.Lookup(t.Context(), call(name))
	return err == nil && holder == session
}

// drain removes the messages that have arrived.
func (c *client) drain() {
	for len(c.got) > 0 {
		<-c.got
	}
}

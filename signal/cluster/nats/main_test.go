//go:build !quick

package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"parley/signal/cluster"
	"parley/signal/cluster/clustertest"
	"parley/signal/cluster/nats/names"
	"parley/signal/cluster/natsserver"
	"parley/signal/cluster/natstest"
)

// RunServer runs a signaling server, if this process was started for that.
var RunServer func()

func TestMain(m *testing.M) {
	natstest.Main()
	runNode()
	RunServer()
	goleak.VerifyTestMain(m)
}

const (
	// patience bounds the wait for anything that must happen.
	patience = 30 * time.Second
	// testLease is short, so that tests need not wait long. With elections it may end too early.
	testLease = 2 * time.Second
)

// natstestServer starts a NATS server and returns its URL.
func natstestServer(t testing.TB) string {
	t.Helper()
	return natstest.Start(t, natsserver.Options{}).URL
}

// startNode starts a node that is closed at the end of the test.
func startNode(t testing.TB, o Options) *Node {
	t.Helper()
	if o.Lease == 0 {
		o.Lease = testLease
	}
	n, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// eventually waits until check holds. The state of other processes has no event to wait for.
func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !check(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// client is a session that records its messages.
type client struct {
	cluster.SessionID
	node *Node
	got  chan cluster.Message
}

func attach(n *Node) *client {
	c := &client{node: n, got: make(chan cluster.Message, 1<<16)}
	c.SessionID = n.Attach(c)
	return c
}

// Receive implements cluster.Receiver.
func (c *client) Receive(m cluster.Message, _ cluster.Batch) {
	m.Payload = append([]byte(nil), m.Payload...)
	c.got <- m
}

// next returns the next message.
func (c *client) next(t testing.TB) cluster.Message {
	t.Helper()
	select {
	case m := <-c.got:
		return m
	case <-time.After(patience):
		t.Fatalf("no message within %s", patience)
		return cluster.Message{}
	}
}

func (c *client) send(to *client, kind cluster.Kind, payload string) {
	c.node.Send(to.SessionID, cluster.Message{Kind: kind, From: c.SessionID, FromName: "name", Call: 1, Payload: []byte(payload)}, nil)
}

// exchange sends messages both ways and waits for them.
func exchange(t testing.TB, a, b *client) {
	t.Helper()
	for i := range 3 {
		text := fmt.Sprint("message ", i)
		for _, pair := range [][2]*client{{a, b}, {b, a}} {
			pair[0].send(pair[1], cluster.Data, text)
			if m := pair[1].next(t); m.Kind != cluster.Data || string(m.Payload) != text {
				t.Fatalf("message: got %+v, want %q", m, text)
			}
		}
	}
}

func (c *client) claim(claim cluster.Claim) error {
	claim.Session = c.SessionID
	done := make(chan error, 1)
	c.node.Claim(claim, nil, func(err error) { done <- err })
	return <-done
}

func (c *client) mustClaim(t testing.TB, name string) {
	t.Helper()
	if err := c.claim(cluster.Claim{Name: call(name)}); err != nil {
		t.Fatalf("claim of %s: %v", name, err)
	}
}

func call(text string) cluster.Name { return cluster.Name{Space: "call", Text: text} }

func isTaken(err error) bool {
	var taken *cluster.TakenError
	return errors.As(err, &taken)
}

// TestConformance checks the promises of cluster.Node, on three nodes at one NATS server, and at
// three that keep three copies of everything. The nodes of one test leave names behind for the
// next.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() []string{
		"one server":    func() []string { return []string{natstest.Start(t, natsserver.Options{}).URL} },
		"three servers": func() []string { return natstest.URLs(natstest.StartCluster(t, 3)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := start()
			clustertest.Run(t, func(t *testing.T) []cluster.Node {
				var nodes []cluster.Node
				for range 3 {
					n := startNode(t, Options{Servers: servers, Lease: 20 * time.Second})
					eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
					nodes = append(nodes, n)
				}
				return nodes
			})
		})
	}
}

// logs records the messages of a logger.
type logs struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) contains(s string) bool { return l.count(s) > 0 }

func (l *logs) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

// TestStartErrors starts nodes that can never work: each error names what to change.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	secured := natstest.Start(t, natsserver.Options{User: "parley", Password: "right"})
	plain := natstest.Start(t, natsserver.Options{NoJetStream: true})
	good := natstest.Start(t, natsserver.Options{})
	first := startNode(t, Options{Servers: []string{good.URL}, Prefix: "old"})
	stream, err := first.js.Stream(t.Context(), "KV_old_names")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Metadata = map[string]string{schemaKey: "2"}
	if _, err := first.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"no servers", Options{}, "no NATS server"},
		{"wrong password", Options{Servers: []string{strings.Replace(secured.URL, "//", "//parley:wrong@", 1)}}, "NATS refused the credentials"},
		{"no credentials", Options{Servers: []string{secured.URL}}, "NATS refused the credentials"},
		{"missing file", Options{Servers: []string{good.URL}, Credentials: t.TempDir() + "/none"}, "NATS credentials: open"},
		{"file without key", Options{Servers: []string{good.URL}, Credentials: "main_test.go"}, `NATS credentials: invalid "main_test.go": no JWT found; want`},
		{"no TLS", Options{Servers: []string{strings.Replace(good.URL, "nats:", "tls:", 1)}}, "it has no TLS: use nats://"},
		{"no JetStream", Options{Servers: []string{plain.URL}}, "no JetStream for this account: start it with -js"},
		{"other schema", Options{Servers: []string{good.URL}, Prefix: "old"}, `bucket old_names: schema version "2", want 1`},
		{"other lease", Options{Servers: []string{good.URL}, Prefix: "old", Lease: time.Minute}, "leases of 2s, want 1m0s"},
		{"bad prefix", Options{Servers: []string{good.URL}, Prefix: "a.b"}, `invalid prefix "a.b"`},
	} {
		if c.o.Lease == 0 {
			c.o.Lease = testLease
		}
		n, err := Start(t.Context(), c.o)
		if err == nil {
			_ = n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	right := startNode(t, Options{Servers: []string{strings.Replace(secured.URL, "//", "//parley:right@", 1)}})
	if err := right.Ready(); err != nil {
		t.Error(err)
	}
}

// TestReadyOfPausedServer checks that a node is not ready when NATS does not answer, before its
// connection and its lease have ended.
func TestReadyOfPausedServer(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	n := startNode(t, Options{Servers: []string{server.URL}, Lease: 12 * time.Second})
	server.Pause()
	eventually(t, "the node is not ready", func() bool { return n.Ready() != nil })
	if !n.hasLease() || !n.conn.IsConnected() {
		t.Error("the node was ready until its lease or its connection had ended")
	}
	server.Resume()
	eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
}

// TestTroubleInLog checks that the log has a reason for which the lease is not renewed once, and
// another one at once.
func TestTroubleInLog(t *testing.T) {
	t.Parallel()
	var logged logs
	n := &Node{log: slog.New(slog.NewTextHandler(&logged, nil))}
	for _, text := range []string{"a", "a", "a", "b"} {
		n.reportTrouble(errors.New(text))
	}
	for text, want := range map[string]int{"error=a": 1, "error=b": 1} {
		if got := logged.count(text); got != want {
			t.Errorf("%s: got %d lines, want %d", text, got, want)
		}
	}
}

// TestOtherSettings starts two nodes with one prefix that differ in what they should share, as
// those of two clusters do: they work as one, and both warn.
func TestOtherSettings(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	var logged [2]logs
	var nodes [2]*Node
	for i := range nodes {
		nodes[i] = startNode(t, Options{Servers: []string{server.URL}, Settings: fmt.Sprint(i), Logger: slog.New(slog.NewTextHandler(&logged[i], nil))})
	}
	for i := range logged {
		eventually(t, "the warning", func() bool { return logged[i].contains("a node has other settings") })
	}
	attach(nodes[0]).mustClaim(t, "alice")
	if err := attach(nodes[1]).claim(cluster.Claim{Name: call("alice")}); !isTaken(err) {
		t.Errorf("claim at the other node: got %v, want a TakenError", err)
	}
}

// TestPrefixes checks that clusters with different prefixes do not see each other.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	a := startNode(t, Options{Servers: []string{server.URL}, Prefix: "a"})
	b := startNode(t, Options{Servers: []string{server.URL}, Prefix: "b"})
	attach(a).mustClaim(t, "alice")
	attach(b).mustClaim(t, "alice")
	if count := a.peers.count() + b.peers.count(); count != 0 {
		t.Errorf("nodes of the other cluster: got %d, want 0", count)
	}
}

// TestStartWithoutNATS starts a node before its NATS server.
func TestStartWithoutNATS(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	url := server.URL
	server.Kill()
	started := make(chan *Node)
	go func() {
		n, err := Start(context.WithoutCancel(t.Context()), Options{Servers: []string{url}, Lease: testLease})
		if err != nil {
			t.Error(err)
		}
		started <- n
	}()
	server.Restart()
	n := <-started
	if n == nil {
		return
	}
	defer n.Close()
	eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
	attach(n).mustClaim(t, "alice")
}

// partitioned is two nodes, the first of which reaches NATS by a proxy.
func partitioned(t *testing.T) (p *natstest.Proxy, cut, other *Node) {
	server := natstest.Start(t, natsserver.Options{})
	p = natstest.StartProxy(t, server)
	cut = startNode(t, Options{Servers: []string{p.URL}})
	other = startNode(t, Options{Servers: []string{server.URL}})
	return p, cut, other
}

// TestPartition cuts a node off for longer than its lease. Its own sessions go on; its names are
// free elsewhere; and when it is back, a session whose name was taken has lost it, and the others
// have theirs.
func TestPartition(t *testing.T) {
	t.Parallel()
	p, cut, other := partitioned(t)
	alice, carol, bob, dave := attach(cut), attach(cut), attach(other), attach(other)
	alice.mustClaim(t, "alice")
	carol.mustClaim(t, "carol")
	bob.mustClaim(t, "bob")
	exchange(t, alice, bob)
	p.Cut()
	for _, c := range []*client{bob, alice} { // bob first: the lease has ended, and at last alice is back
		if c == alice {
			if err := dave.claim(cluster.Claim{Name: call("alice")}); err != nil {
				t.Fatalf("claim after the end of the lease: %v", err)
			}
			if cut.Ready() == nil {
				t.Error("the node that is cut off is ready")
			}
			if err := attach(cut).claim(cluster.Claim{Name: call("erin")}); !errors.Is(err, cluster.ErrUnavailable) {
				t.Errorf("claim without NATS: got %v, want ErrUnavailable", err)
			}
			if _, err := cut.Lookup(t.Context(), call("bob")); !errors.Is(err, cluster.ErrUnavailable) {
				t.Errorf("lookup without NATS: got %v, want ErrUnavailable", err)
			}
			if holder, err := cut.Lookup(t.Context(), call("carol")); err != nil || holder != carol.SessionID {
				t.Errorf("lookup of a session of the same node: got %s, %v", holder, err)
			}
			exchange(t, alice, carol)
			p.Mend()
		}
		if m := c.next(t); m.Kind != cluster.Gone || m.Reason != cluster.Disconnected {
			t.Fatalf("message after the partition: got %+v, want Gone", m)
		}
	}
	if m := alice.next(t); m.Kind != cluster.Lost || m.From != dave.SessionID {
		t.Errorf("message to the session whose name was taken: got %+v, want Lost", m)
	}
	eventually(t, "the node is ready", func() bool { return cut.Ready() == nil })
	eventually(t, "carol is found again", func() bool {
		holder, err := other.Lookup(t.Context(), call("carol"))
		return err == nil && holder == carol.SessionID
	})
	exchange(t, carol, bob)
	exchange(t, alice, bob)
}

// TestShortPartition cuts a node off for less than its lease, while messages are sent both ways:
// they arrive late, each once and in order.
func TestShortPartition(t *testing.T) {
	t.Parallel()
	p, cut, other := partitioned(t)
	alice, bob := attach(cut), attach(other)
	alice.mustClaim(t, "alice")
	const count = 300
	for i := range count {
		switch i {
		case 100:
			p.Cut()
		case 200:
			p.Mend()
		}
		alice.send(bob, cluster.Candidate, fmt.Sprint(i))
		bob.send(alice, cluster.Candidate, fmt.Sprint(i))
	}
	for _, c := range []*client{alice, bob} {
		for i := range count {
			if m := c.next(t); string(m.Payload) != fmt.Sprint(i) {
				t.Fatalf("message %d: got %+v", i, m)
			}
		}
	}
}

// TestSlowNetwork delays everything for longer than a request may take, so that batches are sent
// again: each message arrives once.
func TestSlowNetwork(t *testing.T) {
	t.Parallel()
	p, cut, other := partitioned(t)
	alice, bob := attach(cut), attach(other)
	const count = 20
	p.Hold()
	for i := range count {
		alice.send(bob, cluster.Candidate, fmt.Sprint(i))
		bob.send(alice, cluster.Candidate, fmt.Sprint(i))
	}
	retries := func() float64 { return value(t, cut.metrics.retries) + value(t, other.metrics.retries) }
	before := retries()
	eventually(t, "batches are sent again", func() bool { return retries() >= before+2 })
	p.Release()
	for _, c := range []*client{alice, bob} {
		for i := range count {
			if m := c.next(t); string(m.Payload) != fmt.Sprint(i) {
				t.Fatalf("message %d: got %+v", i, m)
			}
		}
	}
	exchange(t, alice, bob)
}

// TestUnreachable sends to a session whose node is cut off but has its lease: both sessions receive
// Gone in the end.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	p := natstest.StartProxy(t, server)
	cut := startNode(t, Options{Servers: []string{p.URL}, Lease: time.Minute})
	other := startNode(t, Options{Servers: []string{server.URL}, Lease: time.Minute})
	alice, bob := attach(cut), attach(other)
	alice.mustClaim(t, "alice")
	exchange(t, alice, bob)
	p.Cut()
	bob.send(alice, cluster.Offer, "lost")
	if m := bob.next(t); m.Kind != cluster.Gone || m.From != alice.SessionID {
		t.Errorf("sender: got %+v, want Gone", m)
	}
	if err := attach(other).claim(cluster.Claim{Name: call("alice")}); !isTaken(err) {
		t.Errorf("claim of a name whose node has its lease: got %v, want a TakenError", err)
	}
	p.Mend()
	if m := alice.next(t); m.Kind != cluster.Gone || m.From != bob.SessionID {
		t.Errorf("receiver: got %+v, want Gone", m)
	}
	exchange(t, alice, bob)
}

// TestClose ends a node: its names are free at once, and the sessions in a call with its own
// receive Gone.
func TestClose(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	o := Options{Servers: []string{server.URL}, Lease: time.Minute}
	first, other := startNode(t, o), startNode(t, o)
	alice, bob := attach(first), attach(other)
	alice.mustClaim(t, "alice")
	exchange(t, alice, bob)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if m := bob.next(t); m.Kind != cluster.Gone || m.Reason != cluster.Disconnected {
		t.Errorf("message after the end of the node: got %+v, want Gone", m)
	}
	bob.mustClaim(t, "alice")
	if err := alice.claim(cluster.Claim{Name: call("alice")}); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("claim at a closed node: got %v, want ErrUnavailable", err)
	}
}

// TestReleaseIsFenced checks that a release does not remove the claim of a successor, also if the
// session does not know yet that it has lost the name.
func TestReleaseIsFenced(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	first, other := startNode(t, Options{Servers: []string{server.URL}}), startNode(t, Options{Servers: []string{server.URL}})
	for i := range 20 {
		name, secret := fmt.Sprint("name", i), cluster.SecretHash{1, byte(i)}
		alice, bob := attach(first), attach(other)
		if err := alice.claim(cluster.Claim{Name: call(name), Resume: secret}); err != nil {
			t.Fatal(err)
		}
		if err := bob.claim(cluster.Claim{Name: call(name), Presented: secret}); err != nil {
			t.Fatal(err)
		}
		first.Release(call(name), alice.SessionID)
		if err := attach(first).claim(cluster.Claim{Name: call(name)}); !isTaken(err) {
			t.Fatalf("claim of a name that a successor holds: got %v, want a TakenError", err)
		}
	}
}

// TestLeaderElection kills the NATS server that leads the names: claims wait and succeed, messages
// go on.
func TestLeaderElection(t *testing.T) {
	t.Parallel()
	servers := natstest.StartCluster(t, 3)
	o := Options{Servers: natstest.URLs(servers), Lease: 20 * time.Second}
	a, b := startNode(t, o), startNode(t, o)
	for _, n := range []*Node{a, b} {
		eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
	}
	alice, bob := attach(a), attach(b)
	alice.mustClaim(t, "alice")
	exchange(t, alice, bob)
	stream, err := a.js.Stream(t.Context(), "KV_parley_names")
	if err != nil {
		t.Fatal(err)
	}
	leader := stream.CachedInfo().Cluster.Leader
	for i, s := range servers {
		if leader == fmt.Sprint("nats", i) {
			s.Kill()
		}
	}
	exchange(t, alice, bob)
	// An election can take as long as a claim waits. Then the claim is to be tried again.
	var claimed error
	eventually(t, "bob has claimed his name", func() bool {
		claimed = bob.claim(cluster.Claim{Name: call("bob")})
		return !errors.Is(claimed, cluster.ErrUnavailable)
	})
	if claimed != nil {
		t.Fatalf("claim after the election: got %v", claimed)
	}
	if holder, err := b.Lookup(t.Context(), call("alice")); err != nil || holder != alice.SessionID {
		t.Errorf("lookup after the election: got %s, %v", holder, err)
	}
	if err := attach(b).claim(cluster.Claim{Name: call("alice")}); !isTaken(err) {
		t.Errorf("claim of a name that is held: got %v, want a TakenError", err)
	}
}

// TestServersDown kills two of three NATS servers, and then the third: names cannot be claimed
// then, sessions of one node reach each other, and everything is as before when the servers are
// back.
func TestServersDown(t *testing.T) {
	t.Parallel()
	servers := natstest.StartCluster(t, 3)
	o := Options{Servers: natstest.URLs(servers), Lease: 10 * time.Second}
	a, b := startNode(t, o), startNode(t, o)
	for _, n := range []*Node{a, b} {
		eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
	}
	alice, carol, bob := attach(a), attach(a), attach(b)
	alice.mustClaim(t, "alice")
	for _, s := range servers[:2] {
		s.Kill()
	}
	eventually(t, "the node is not ready", func() bool { return a.Ready() != nil })
	if err := bob.claim(cluster.Claim{Name: call("bob")}); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("claim without a majority: got %v, want ErrUnavailable", err)
	}
	exchange(t, alice, carol)
	servers[2].Kill()
	exchange(t, alice, carol)
	for _, s := range servers {
		s.Restart()
	}
	for _, n := range []*Node{a, b} {
		eventually(t, "the node is ready", func() bool { return n.Ready() == nil })
	}
	eventually(t, "alice is found", func() bool {
		holder, err := b.Lookup(t.Context(), call("alice"))
		return err == nil && holder == alice.SessionID
	})
	bob.mustClaim(t, "bob")
	exchange(t, alice, bob)
}

// TestDataLost starts the NATS server again without its data, as after a disk failure: the nodes
// make the buckets again and claim their names.
func TestDataLost(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{Dir: t.TempDir()})
	n, other := startNode(t, Options{Servers: []string{server.URL}}), startNode(t, Options{Servers: []string{server.URL}})
	alice := attach(n)
	alice.mustClaim(t, "alice")
	server.Kill()
	if err := os.RemoveAll(server.Dir() + "/jetstream"); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	eventually(t, "alice is found", func() bool {
		holder, err := other.Lookup(t.Context(), call("alice"))
		return err == nil && holder == alice.SessionID
	})
	eventually(t, "the name is counted as claimed again", func() bool { return value(t, n.metrics.reasserted) >= 1 })
}

// TestNamesLost loses the names in the bucket only, while the nodes keep their leases: the node
// finds that revisions are missing, and claims the name again.
func TestNamesLost(t *testing.T) {
	t.Parallel()
	n, other := twoNodes(t)
	alice := attach(n)
	alice.mustClaim(t, "alice")
	n.renewNow.Store(true)
	n.wakeUp()
	eventually(t, "the revision of the claim is seen", func() bool { return n.lastClaim.Load() > 0 })
	config := n.buckets.Load().claims.CachedInfo().Config
	if err := n.js.DeleteStream(t.Context(), config.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := n.js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	n.renewNow.Store(true)
	n.wakeUp()
	eventually(t, "alice is found", func() bool {
		holder, err := other.Lookup(t.Context(), call("alice"))
		return err == nil && holder == alice.SessionID
	})
}

// TestFind finds the record of a key, and no other one.
func TestFind(t *testing.T) {
	t.Parallel()
	n, other := twoNodes(t)
	c := attach(n)
	for _, name := range []string{"first", "alice"} {
		c.mustClaim(t, name)
	}
	own, want := n.names.Holder(call("alice"))
	b := other.buckets.Load()
	if got, ok := other.find(b, call("alice"), own); !ok || got != want {
		t.Errorf("revision: got %d, %v, want %d", got, ok, want)
	}
	for name, r := range map[string]names.Record{
		"bob": own, "alice": {Session: cluster.SessionID{Node: n.ID(), Number: own.Session.Number + 1}, Resume: own.Resume},
	} {
		if got, ok := other.find(b, call(name), r); ok {
			t.Errorf("another record of %s: got revision %d, want none", name, got)
		}
	}
	// The revisions of a bucket that is made again begin anew.
	config := b.claims.CachedInfo().Config
	if err := n.js.DeleteStream(t.Context(), config.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := n.js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	d := attach(other)
	for _, name := range []string{"second", "alice"} {
		d.mustClaim(t, name)
	}
	if _, got := other.names.Holder(call("alice")); got != want {
		t.Fatalf("revision in the new bucket: got %d, want %d as in the old one", got, want)
	}
	n.reassertName(call("alice"))
	if m := c.next(t); m.Kind != cluster.Lost {
		t.Errorf("message to the session whose name another one has now: got %+v, want Lost", m)
	}
}

// TestPausedServer stops the NATS server for a while, as a machine that swaps: nothing is lost.
func TestPausedServer(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	o := Options{Servers: []string{server.URL}, Lease: 20 * time.Second}
	a, b := startNode(t, o), startNode(t, o)
	alice, bob := attach(a), attach(b)
	exchange(t, alice, bob)
	server.Pause()
	time.AfterFunc(2*time.Second, server.Resume)
	claimed := make(chan error, 1)
	a.Claim(cluster.Claim{Name: call("alice"), Session: alice.SessionID}, nil, func(err error) { claimed <- err })
	exchange(t, alice, bob)
	if err := <-claimed; err != nil {
		t.Errorf("claim while the server is paused: %v", err)
	}
}

// TestManyNames claims many names at once, and counts the goroutines and requests that are left.
func TestManyNames(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natsserver.Options{})
	n := startNode(t, Options{Servers: []string{server.URL}, Lease: time.Minute})
	const count = 2000
	var failed atomic.Int64
	var group sync.WaitGroup
	for i := range count {
		c := attach(n)
		group.Add(1)
		n.Claim(cluster.Claim{Name: call(fmt.Sprint("user", i)), Session: c.SessionID}, nil, func(err error) {
			if err != nil {
				failed.Add(1)
			}
			group.Done()
		})
	}
	group.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d claims failed", failed.Load(), count)
	}
}

// TestReassertSlowly checks more names than can be checked before the next check is due: that does
// not make the next one urgent, unlike a loss of contact, which ends the slow check.
func TestReassertSlowly(t *testing.T) {
	t.Parallel()
	n := startNode(t, Options{Servers: []string{natstest.Start(t, natsserver.Options{}).URL}, Lease: time.Minute})
	for i := range 60 { // more than patience lasts
		attach(n).mustClaim(t, fmt.Sprint("user", i))
	}
	eventually(t, "the checks after the start are over", func() bool { return !n.lease.check.Load() && !n.reasserting.Load() })
	n.reassert(1, false)
	n.reassert(1, false)
	if n.lease.check.Load() {
		t.Error("a check of the names during another one is urgent")
	}
	if !n.reasserting.Load() {
		t.Error("a check of 60 names, one a second, is over at once")
	}
	n.lease.check.Store(true)
	eventually(t, "an urgent check", func() bool { return !n.lease.check.Load() && !n.reasserting.Load() })
	if rate := n.slowReassertRate(); rate != 1 {
		t.Errorf("rate for 60 names: got %d, want 1", rate)
	}
	n.peers.mu.Lock()
	for i := range byte(255) {
		for k := range byte(6) {
			n.peers.live[cluster.NodeID{i, k}] = peer{}
		}
	}
	n.peers.mu.Unlock()
	if rate := n.slowReassertRate(); rate != 1 {
		t.Errorf("rate of one of %d nodes: got %d, want 1", 6*255, rate)
	}
}

// value returns the value of a counter.
func value(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

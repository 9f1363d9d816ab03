package links

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"parley/signal/cluster"
)

// testNode is a node of a cluster in this process.
type testNode struct {
	*cluster.Sessions
	links *Links
	wait  sync.WaitGroup
	lanes [Lanes]sync.Mutex // each held while a batch is received

	mu     sync.Mutex // guards what follows
	closed bool
	peers  map[cluster.NodeID]*testNode
	lost   []cluster.Name
	probed []string
	// request carries a request to a peer, in place of a network that loses nothing.
	request func(ctx context.Context, to *testNode, lane uint64, data []byte) ([]byte, error)
}

// startNodes starts nodes that know each other, and end with the test.
func startNodes(t *testing.T, count int) (nodes []*testNode) {
	ctx, cancel := context.WithCancel(context.Background())
	for range count {
		n := &testNode{Sessions: cluster.NewSessions(), peers: make(map[cluster.NodeID]*testNode)}
		counter := func(name string) prometheus.Counter {
			return prometheus.NewCounter(prometheus.CounterOpts{Name: name})
		}
		n.links = New(ctx, n, Metrics{
			Sent: counter("sent"), Received: counter("received"), Retries: counter("retries"),
			Duplicates: counter("duplicates"), Resets: counter("resets"), Malformed: counter("malformed"),
		})
		n.request = func(_ context.Context, to *testNode, lane uint64, data []byte) ([]byte, error) {
			return to.receive(lane, data), nil
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		for _, peer := range nodes {
			n.peers[peer.ID()] = peer
		}
		t.Cleanup(n.close)
	}
	t.Cleanup(cancel)
	return nodes
}

// receive receives a batch, and returns the answer.
func (n *testNode) receive(lane uint64, data []byte) []byte {
	n.lanes[lane].Lock()
	defer n.lanes[lane].Unlock()
	return n.links.Receive(data)
}

func (n *testNode) peer(id cluster.NodeID) *testNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peers[id]
}

func (n *testNode) SendBatch(ctx context.Context, to cluster.NodeID, lane uint64, data []byte) ([]byte, error) {
	peer := n.peer(to)
	if peer == nil {
		return nil, ErrNoReceiver
	}
	return n.request(ctx, peer, lane, data)
}

func (n *testNode) CheckNode(_ context.Context, id cluster.NodeID) (lost bool) {
	if n.peer(id) != nil {
		return false
	}
	n.links.DropNode(id)
	return true
}

func (n *testNode) NameLost(_ cluster.SessionID, name cluster.Name, _ uint64, _ cluster.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lost = append(n.lost, name)
}

func (n *testNode) NameProbed(_ cluster.SessionID, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.probed = append(n.probed, text)
}

func (n *testNode) Spawn(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.wait.Go(f)
	}
	return !n.closed
}

// close waits for the goroutines of the node, whose context has ended.
func (n *testNode) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.wait.Wait()
}

// remove makes the node count as one without a lease at n.
func (n *testNode) remove(id cluster.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.peers, id)
}

// session is a session that records its messages.
type session struct {
	cluster.SessionID
	node *testNode

	mu  sync.Mutex // guards got
	got []cluster.Message
}

func attach(n *testNode) *session {
	s := &session{node: n}
	s.SessionID = n.Attach(s)
	return s
}

// Receive implements cluster.Receiver.
func (s *session) Receive(m cluster.Message, _ cluster.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Payload = slices.Clone(m.Payload)
	s.got = append(s.got, m)
}

func (s *session) send(to cluster.SessionID, m cluster.Message) {
	m.From = s.SessionID
	s.node.links.Send(to, m, nil)
}

// take returns what was received since the last time.
func (s *session) take() []cluster.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

func (s *session) end() {
	s.node.Sessions.Detach(s.SessionID)
	s.node.links.End(s.SessionID)
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

// batchOf encodes a batch.
func batchOf(h header, messages ...cluster.Message) []byte {
	b := appendHeader(nil, h)
	for i := range messages {
		b = appendMessage(b, &messages[i])
	}
	return b
}

// TestBadNetwork sends messages over a network that loses, doubles, delays and holds back requests
// and answers, and does nothing of what it should for a while now and then: each message arrives
// once and in order, or its sender receives Gone after it has sent it.
func TestBadNetwork(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testBadNetwork(t, seed) }) })
	}
}

func testBadNetwork(t *testing.T, seed uint64) {
	nodes := startNodes(t, 3)
	var mu sync.Mutex // guards random
	random := rand.New(rand.NewPCG(seed, 0))
	number := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	began := time.Now()
	var mended atomic.Bool
	for _, n := range nodes {
		n.request = func(ctx context.Context, to *testNode, lane uint64, data []byte) ([]byte, error) {
			fate := number(10)
			if mended.Load() {
				fate = 9
			} else if time.Since(began)%(30*time.Second) > 22*time.Second { // nothing passes for longer than a batch is sent again
				fate = 0
			}
			switch fate {
			case 0, 1: // the request is lost
				<-ctx.Done()
				return nil, ctx.Err()
			case 2, 3: // the answer is lost
				to.receive(lane, data)
				<-ctx.Done()
				return nil, ctx.Err()
			case 4, 5: // another copy arrives, much later
				data, after := slices.Clone(data), time.Duration(number(8000))*time.Millisecond
				n.Spawn(func() {
					time.Sleep(after)
					to.receive(lane, data)
				})
			case 6: // the request comes after the sender has given it up
				time.Sleep(requestTimeout + time.Duration(number(1000))*time.Millisecond)
			case 7:
				time.Sleep(time.Duration(number(400)) * time.Millisecond)
			}
			answer := to.receive(lane, data)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return answer, nil
		}
	}
	var sessions []*session
	for i := range 6 {
		sessions = append(sessions, attach(nodes[i%len(nodes)]))
	}
	type sent struct {
		text  string
		gones int // that the sender had received before
	}
	pair := func(from, to *session) [2]cluster.SessionID {
		return [2]cluster.SessionID{from.SessionID, to.SessionID}
	}
	messages := make(map[[2]cluster.SessionID][]sent)
	received, gones := make(map[[2]cluster.SessionID][]string), make(map[[2]cluster.SessionID]int)
	collect := func() {
		for _, s := range sessions {
			for _, m := range s.take() {
				if m.Kind == cluster.Gone {
					gones[[2]cluster.SessionID{s.SessionID, m.From}]++
				} else {
					key := [2]cluster.SessionID{m.From, s.SessionID}
					received[key] = append(received[key], string(m.Payload))
				}
			}
		}
	}
	for round := range 600 {
		for _, from := range sessions {
			to := sessions[number(len(sessions))]
			if to.node == from.node {
				continue
			}
			collect()
			text := strconv.Itoa(round)
			messages[pair(from, to)] = append(messages[pair(from, to)], sent{text, gones[pair(from, to)]})
			from.send(to.SessionID, cluster.Message{Kind: cluster.Data, Payload: []byte(text)})
		}
		for _, n := range nodes {
			if number(60) == 0 {
				n.links.Sweep()
			}
		}
		time.Sleep(time.Duration(number(400)) * time.Millisecond)
	}
	mended.Store(true)
	time.Sleep(3 * deliveryTimeout) // longer than a copy takes
	synctest.Wait()
	collect()
	arrived, reported := 0, 0
	for key, all := range messages {
		next, got := 0, received[key]
		for _, m := range all {
			switch {
			case next < len(got) && got[next] == m.text:
				next++
				arrived++
			case m.gones < gones[key]:
				reported++
			default:
				t.Errorf("%s to %s: message %s has not arrived in its place, and the sender is not informed", key[0], key[1], m.text)
			}
		}
		if next < len(got) {
			t.Errorf("%s to %s: %q arrived twice, or after a later message", key[0], key[1], got[next])
		}
	}
	if arrived == 0 || reported == 0 {
		t.Errorf("%d messages arrived, %d reported as lost: want some of both", arrived, reported)
	}
	for _, n := range nodes {
		if value(t, n.links.metrics.Retries) == 0 || value(t, n.links.metrics.Duplicates) == 0 || value(t, n.links.metrics.Resets) == 0 {
			t.Error("no retry, duplicate or reset in this history")
		}
	}
}

// TestLateCopies passes a batch to a node again after the node has dropped its link to the sender,
// in each way that it does: the messages arrive once, and the sender learns that the link is reset.
func TestLateCopies(t *testing.T) {
	n := startNodes(t, 1)[0]
	for name, drop := range map[string]func(local, remote cluster.SessionID){
		"the lease of this node has ended":   func(_, _ cluster.SessionID) { n.links.Reset() },
		"the lease of the sender has ended":  func(_, remote cluster.SessionID) { n.links.DropNode(remote.Node) },
		"the sender has ended some time ago": func(local, remote cluster.SessionID) { n.links.endLink(local, remote) },
	} {
		t.Run(name, func(t *testing.T) {
			s := attach(n)
			from := cluster.SessionID{Node: cluster.NodeID{byte(s.Number)}, Number: 1}
			data := batchOf(header{from: from, to: s.SessionID, epoch: 5, first: 1}, cluster.Message{Kind: cluster.Data, Payload: []byte("1")})
			if got := n.links.receive(data); got != replyOK {
				t.Fatalf("reply: got %d, want %d", got, replyOK)
			}
			drop(s.SessionID, from)
			if got := n.links.receive(data); got != replyGap {
				t.Errorf("reply to the late copy: got %d, want %d", got, replyGap)
			}
			next := batchOf(header{from: from, to: s.SessionID, epoch: 6, first: 1}, cluster.Message{Kind: cluster.Data, Payload: []byte("2")})
			if got := n.links.receive(next); got != replyOK {
				t.Errorf("reply to a batch that was made later: got %d, want %d", got, replyOK)
			}
			var got []string
			for _, m := range s.take() {
				if m.Kind != cluster.Gone {
					got = append(got, string(m.Payload))
				}
			}
			if !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("messages: got %q, want 1 and 2", got)
			}
		})
	}
}

// TestGaps receives batches that do not follow those before: they are not delivered, and the sender
// learns of it.
func TestGaps(t *testing.T) {
	n := startNodes(t, 1)[0]
	type batch struct {
		epoch, first uint64
		want         reply
	}
	for name, batches := range map[string][]batch{
		"the first batch is missing":             {{5, 2, replyGap}, {5, 1, replyOK}},
		"a batch is missing":                     {{5, 1, replyOK}, {5, 3, replyGap}, {5, 2, replyOK}},
		"the first batch of an epoch is missing": {{5, 1, replyOK}, {6, 2, replyGap}, {5, 2, replyOK}, {6, 1, replyOK}},
		"a batch of an epoch before":             {{5, 1, replyOK}, {6, 1, replyOK}, {5, 2, replyGap}, {6, 2, replyOK}},
		"a batch again":                          {{5, 1, replyOK}, {5, 1, replyOK}, {5, 2, replyOK}},
	} {
		t.Run(name, func(t *testing.T) {
			s := attach(n)
			from := cluster.SessionID{Node: cluster.NodeID{1}, Number: 1}
			var want, got []string
			for _, b := range batches {
				text := fmt.Sprint(b.epoch, " ", b.first)
				if b.want == replyOK && !slices.Contains(want, text) {
					want = append(want, text)
				}
				data := batchOf(header{from: from, to: s.SessionID, epoch: b.epoch, first: b.first}, cluster.Message{Kind: cluster.Data, Payload: []byte(text)})
				if got := n.links.receive(data); got != b.want {
					t.Errorf("reply to batch %d of epoch %d: got %d, want %d", b.first, b.epoch, got, b.want)
				}
			}
			for _, m := range s.take() {
				got = append(got, string(m.Payload))
			}
			if !slices.Equal(got, want) {
				t.Errorf("messages: got %q, want %q", got, want)
			}
		})
	}
}

// endLink makes a node forget a link whose remote session has ended.
func (all *Links) endLink(local, remote cluster.SessionID) {
	l := all.link(local, remote, false)
	l.mu.Lock()
	l.gone, l.endedAt = true, time.Now().Add(-2*endedFor)
	l.mu.Unlock()
	all.Sweep()
}

// silence makes requests of a node unanswered.
func silence(n *testNode) {
	n.request = func(ctx context.Context, _ *testNode, _ uint64, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

// TestQueueOverflow sends more than may wait for a session, as messages of two calls: the sender is
// informed that messages of all calls are lost, whichever message was one too many.
func TestQueueOverflow(t *testing.T) {
	for name, kind := range map[string]cluster.Kind{"message": cluster.Data, "gone": cluster.Gone} {
		t.Run(name, func(t *testing.T) {
			nodes := startNodes(t, 2)
			silence(nodes[0])
			s, to := attach(nodes[0]), attach(nodes[1])
			send := func(kind cluster.Kind, call uint64, size int) {
				s.send(to.SessionID, cluster.Message{Kind: kind, Call: call, Payload: make([]byte, size)})
			}
			send(cluster.Data, 1, 1)
			for range maxQueue/MaxBatch - 1 {
				send(cluster.Data, 1, MaxBatch)
			}
			if got := s.take(); len(got) > 0 {
				t.Fatalf("before the queue is full: got %+v", got)
			}
			send(kind, 2, MaxBatch)
			if got := s.take(); len(got) != 1 || got[0].Kind != cluster.Gone || got[0].PeerCall != 0 || got[0].From != to.SessionID {
				t.Errorf("messages to the sender: got %+v, want Gone for all calls", got)
			}
		})
	}
}

// TestQueueOverflowInFlight has a queue overflow while a batch is on its way: the answer does not
// count for what was queued since, so the receiver learns that messages are missing.
func TestQueueOverflowInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, 2)
		release := make(chan struct{})
		nodes[0].request = func(_ context.Context, to *testNode, lane uint64, data []byte) ([]byte, error) {
			<-release
			return to.receive(lane, data), nil
		}
		s, to := attach(nodes[0]), attach(nodes[1])
		s.send(to.SessionID, cluster.Message{Kind: cluster.Data})
		synctest.Wait()
		for range maxQueue / MaxBatch {
			s.send(to.SessionID, cluster.Message{Kind: cluster.Data, Payload: make([]byte, MaxBatch)})
		}
		close(release)
		synctest.Wait()
		if got := to.take(); len(got) != 2 || got[0].Kind != cluster.Data || got[1].Kind != cluster.Gone {
			t.Errorf("messages to the receiver: got %d, want the first and Gone", len(got))
		}
		if got := s.take(); len(got) != 1 || got[0].Kind != cluster.Gone {
			t.Errorf("messages to the sender: got %+v, want Gone", got)
		}
	})
}

// TestGoneOfEndedSession ends a session, and then its node, before it has received what was sent to
// it: the sender is informed.
func TestGoneOfEndedSession(t *testing.T) {
	nodes := startNodes(t, 2)
	silence(nodes[0])
	s, to := attach(nodes[0]), attach(nodes[1])
	s.send(to.SessionID, cluster.Message{Kind: cluster.Data, Call: 1})
	end := appendEnd(appendHeader(nil, header{from: to.SessionID, to: s.SessionID, epoch: 1, first: 1}))
	if got := nodes[0].links.receive(end); got != replyOK {
		t.Fatalf("reply: got %d, want %d", got, replyOK)
	}
	nodes[0].links.DropNode(to.Node)
	if got := s.take(); len(got) != 1 || got[0].Kind != cluster.Gone || got[0].From != to.SessionID {
		t.Errorf("messages to the sender: got %+v, want Gone", got)
	}
}

// TestGone sends to a session that has ended, to one that ends, and to one whose node has no lease:
// the sender is informed, and once.
func TestGone(t *testing.T) {
	for name, c := range map[string]struct {
		before func(from *session, to *session)
		reason cluster.Reason
	}{
		"of a session that has ended": {func(_, to *session) { to.end() }, 0},
		"of a node without a lease":   {func(from, to *session) { from.node.remove(to.Node) }, cluster.Disconnected},
		"of a node that has failed, whose lease ends": {func(from, to *session) {
			from.node.request = func(context.Context, *testNode, uint64, []byte) ([]byte, error) {
				from.node.remove(to.Node)
				return nil, ErrNoReceiver
			}
		}, cluster.Disconnected},
		"of a node that does not answer": {func(from, _ *session) { silence(from.node) }, cluster.Disconnected},
		"of a node that cannot be reached": {func(from, _ *session) {
			from.node.request = func(context.Context, *testNode, uint64, []byte) ([]byte, error) {
				return nil, errors.New("no connection")
			}
		}, cluster.Disconnected},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes := startNodes(t, 2)
				from, to := attach(nodes[0]), attach(nodes[1])
				c.before(from, to)
				from.send(to.SessionID, cluster.Message{Kind: cluster.Data})
				from.send(to.SessionID, cluster.Message{Kind: cluster.Data})
				time.Sleep(deliveryTimeout + requestTimeout + retryPause)
				synctest.Wait()
				if got := from.take(); len(got) != 1 || got[0].Kind != cluster.Gone || got[0].From != to.SessionID || got[0].Reason != c.reason {
					t.Errorf("messages to the sender: got %+v, want one Gone with reason %d", got, c.reason)
				}
				if got := to.take(); len(got) > 0 {
					t.Errorf("messages to the receiver: got %+v, want none", got)
				}
			})
		})
	}
}

// TestNames checks that a session that has lost its name is notified once, and that a Probe of a
// session that has ended is passed to its node.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, 2)
		from, to := attach(nodes[0]), attach(nodes[1])
		name := cluster.Name{Space: "call", Text: "alice"}
		nodes[0].links.SendLost(to.SessionID, name, 7, cluster.Message{Kind: cluster.Lost, From: from.SessionID, FromName: "alice"})
		synctest.Wait()
		if !slices.Equal(nodes[1].lost, []cluster.Name{name}) {
			t.Errorf("lost names: got %v, want %v", nodes[1].lost, name)
		}
		to.end()
		from.send(to.SessionID, cluster.Message{Kind: cluster.Probe, FromName: "bob"})
		synctest.Wait()
		if !slices.Equal(nodes[1].probed, []string{"bob"}) {
			t.Errorf("probed names: got %q, want bob", nodes[1].probed)
		}
		for _, n := range nodes {
			if n.links.Busy() {
				t.Error("the links are busy after all was received")
			}
		}
	})
}

// Package clustertest checks implementations of cluster.Node.
package clustertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"parley/signal/cluster"
)

// wait bounds the wait for anything that an implementation must do.
const wait = 30 * time.Second

// Run checks that the nodes of a cluster keep the promises of cluster.Directory and cluster.Router.
// start returns the nodes of a new cluster, at least one; it stops them with t.Cleanup.
func Run(t *testing.T, start func(t *testing.T) []cluster.Node) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, nodes)
	}{
		{"claim, look up and release", testClaim},
		{"name spaces are separate", testSpaces},
		{"the holder may claim again", testClaimAgain},
		{"a release of a lost name changes nothing", testLateRelease},
		{"replace takes any name", testReplace},
		{"the same identity takes its name", testIdentity},
		{"the resume secret takes its name", testResume},
		{"a session continues another", testContinue},
		{"one of many claims wins", testClaimRace},
		{"each replaced session loses its name once", testReplaceRace},
		{"session IDs are unique", testUniqueIDs},
		{"messages arrive unchanged", testMessage},
		{"messages arrive in order", testOrder},
		{"a receiver may reply", testReply},
		{"a missing receiver is reported", testGone},
		{"watches are notified once", testWatch},
		{"sessions come and go while messages are sent", testDetachRace},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, start(t)) })
	}
}

type nodes []cluster.Node

// at returns a node for the i-th session, so that sessions are spread over all nodes.
func (n nodes) at(i int) cluster.Node { return n[i%len(n)] }

// session is a session that records its messages.
type session struct {
	cluster.SessionID
	node cluster.Node
	name string

	mu       sync.Mutex // guards messages
	messages []cluster.Message
	arrived  chan struct{} // has a value if messages were added
}

// attach adds the i-th session.
func (n nodes) attach(i int) *session {
	s := &session{node: n.at(i), name: fmt.Sprint("user", i), arrived: make(chan struct{}, 1)}
	s.SessionID = s.node.Attach(s)
	return s
}

// Receive implements cluster.Receiver.
func (s *session) Receive(m cluster.Message, _ cluster.Batch) {
	m.Payload = slices.Clone(m.Payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// received waits until n messages have arrived, and takes them.
func (s *session) received(t *testing.T, n int) []cluster.Message {
	t.Helper()
	timeout := time.After(wait)
	for {
		s.mu.Lock()
		if len(s.messages) >= n {
			got := s.messages
			s.messages = nil
			s.mu.Unlock()
			if len(got) > n {
				t.Fatalf("session %s received %d messages, want %d", s.name, len(got), n)
			}
			return got
		}
		got := len(s.messages)
		s.mu.Unlock()
		select {
		case <-s.arrived:
		case <-timeout:
			t.Fatalf("session %s received %d messages within %s, want %d", s.name, got, wait, n)
		}
	}
}

// receivedNothing sends a message to s and checks that it is the first that arrives.
func (s *session) receivedNothing(t *testing.T, from *session) {
	t.Helper()
	from.send(s, cluster.Data, nil)
	if m := s.received(t, 1)[0]; m.Kind != cluster.Data {
		t.Errorf("session %s received a message of kind %d, want none", s.name, m.Kind)
	}
}

func (s *session) send(to *session, kind cluster.Kind, payload []byte) {
	s.node.Send(to.SessionID, cluster.Message{Kind: kind, From: s.SessionID, FromName: s.name, Payload: payload}, nil)
}

// claim claims a name and returns the result.
func (s *session) claim(t *testing.T, c cluster.Claim) error {
	t.Helper()
	c.Session = s.SessionID
	done := make(chan error, 2)
	s.node.Claim(c, nil, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(wait):
		t.Errorf("claim of %q: no result within %s", c.Name.Text, wait)
		return context.DeadlineExceeded
	}
}

func (s *session) mustClaim(t *testing.T, c cluster.Claim) {
	t.Helper()
	if err := s.claim(t, c); err != nil {
		t.Fatalf("claim of %q: %v", c.Name.Text, err)
	}
}

func (s *session) wantTaken(t *testing.T, c cluster.Claim, holder *session) {
	t.Helper()
	var taken *cluster.TakenError
	if err := s.claim(t, c); !errors.As(err, &taken) || taken.Holder != holder.SessionID {
		t.Errorf("claim of %q: got %v, want a TakenError with session %s", c.Name.Text, err, holder.SessionID)
	}
}

// wantHolder checks on every node which session holds a name; nil stands for none. A lookup may
// return the state before the last change for a moment.
func (n nodes) wantHolder(t *testing.T, name cluster.Name, holder *session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for i, node := range n {
		for {
			id, err := node.Lookup(ctx, name)
			if holder == nil && errors.Is(err, cluster.ErrAbsent) || holder != nil && err == nil && id == holder.SessionID {
				break
			}
			if ctx.Err() != nil || len(n) == 1 {
				t.Fatalf("lookup of %q on node %d: got %s, %v", name.Text, i, id, err)
			}
		}
	}
}

var alice = cluster.Name{Space: "call", Text: "alice"}

func testClaim(t *testing.T, n nodes) {
	first, second := n.attach(0), n.attach(1)
	n.wantHolder(t, alice, nil)
	first.mustClaim(t, cluster.Claim{Name: alice})
	n.wantHolder(t, alice, first)
	second.wantTaken(t, cluster.Claim{Name: alice}, first)
	n.wantHolder(t, alice, first)
	first.node.Release(alice, first.SessionID)
	n.wantHolder(t, alice, nil)
	second.mustClaim(t, cluster.Claim{Name: alice})
	n.wantHolder(t, alice, second)
	first.receivedNothing(t, second)
}

func testSpaces(t *testing.T, n nodes) {
	first, second := n.attach(0), n.attach(1)
	relay := cluster.Name{Space: "relay", Text: alice.Text}
	first.mustClaim(t, cluster.Claim{Name: alice})
	second.mustClaim(t, cluster.Claim{Name: relay})
	n.wantHolder(t, alice, first)
	n.wantHolder(t, relay, second)
	first.node.Release(alice, first.SessionID)
	n.wantHolder(t, relay, second)
	// Names that look alike when they are joined or encoded badly.
	for i, name := range []cluster.Name{{Space: "call", Text: "a.b"}, {Space: "call.a", Text: "b"}, {Space: "call", Text: "A.B"},
		{Space: "call", Text: "*"}, {Space: "call", Text: ">"}, {Space: "call", Text: "é 中/+="}} {
		s := n.attach(i)
		s.mustClaim(t, cluster.Claim{Name: name})
		n.wantHolder(t, name, s)
	}
}

func testClaimAgain(t *testing.T, n nodes) {
	first, second := n.attach(0), n.attach(1)
	first.mustClaim(t, cluster.Claim{Name: alice})
	first.mustClaim(t, cluster.Claim{Name: alice})
	n.wantHolder(t, alice, first)
	first.receivedNothing(t, second)
}

func testLateRelease(t *testing.T, n nodes) {
	first, second := n.attach(0), n.attach(1)
	first.mustClaim(t, cluster.Claim{Name: alice})
	second.node.Release(alice, second.SessionID)
	n.wantHolder(t, alice, first)
	second.mustClaim(t, cluster.Claim{Name: alice, Replace: true})
	first.node.Release(alice, first.SessionID)
	n.wantHolder(t, alice, second)
	third := n.attach(2)
	third.wantTaken(t, cluster.Claim{Name: alice}, second)
}

func testReplace(t *testing.T, n nodes) {
	first, second := n.attach(0), n.attach(1)
	first.mustClaim(t, cluster.Claim{Name: alice, Replace: true})
	second.mustClaim(t, cluster.Claim{Name: alice, Replace: true})
	wantLost(t, first, second)
	n.wantHolder(t, alice, second)
	second.receivedNothing(t, first)
}

func wantLost(t *testing.T, s, by *session) {
	t.Helper()
	wantLostFor(t, s, by, cluster.Replaced)
}

func wantLostFor(t *testing.T, s, by *session, reason cluster.Reason) {
	t.Helper()
	m := s.received(t, 1)[0]
	if m.Kind != cluster.Lost || m.Reason != reason || m.From != by.SessionID {
		t.Errorf("session %s received %+v, want Lost from %s for reason %d", s.name, m, by.SessionID, reason)
	}
}

func testResume(t *testing.T, n nodes) {
	first, second, other := n.attach(0), n.attach(1), n.attach(2)
	own, next := cluster.SecretHash{1}, cluster.SecretHash{2}
	first.mustClaim(t, cluster.Claim{Name: alice, Resume: own})
	other.wantTaken(t, cluster.Claim{Name: alice}, first)
	other.wantTaken(t, cluster.Claim{Name: alice, Resume: own}, first)
	other.wantTaken(t, cluster.Claim{Name: alice, Presented: next}, first)
	second.mustClaim(t, cluster.Claim{Name: alice, Presented: own, Resume: next})
	wantLostFor(t, first, second, cluster.Resumed)
	n.wantHolder(t, alice, second)
	other.wantTaken(t, cluster.Claim{Name: alice, Presented: own}, second)

	// A session without a secret cannot be resumed without one.
	bob := cluster.Name{Space: "call", Text: "bob"}
	first.mustClaim(t, cluster.Claim{Name: bob})
	other.wantTaken(t, cluster.Claim{Name: bob, Presented: cluster.SecretHash{}}, first)
}

func testContinue(t *testing.T, n nodes) {
	first, second, other := n.attach(0), n.attach(1), n.attach(2)
	own, next := cluster.SecretHash{1}, cluster.SecretHash{2}
	name := cluster.Name{Space: "call", Text: "continued"}
	wantAbsent := func(c cluster.Claim) {
		t.Helper()
		c.Name = name
		if err := other.claim(t, c); !errors.Is(err, cluster.ErrAbsent) {
			t.Errorf("claim to continue %s: got %v, want ErrAbsent", c.Continues, err)
		}
	}
	wantAbsent(cluster.Claim{Presented: own, Continues: first.SessionID})
	first.mustClaim(t, cluster.Claim{Name: name, Resume: own})
	wantAbsent(cluster.Claim{Presented: next, Continues: first.SessionID})
	wantAbsent(cluster.Claim{Continues: first.SessionID})
	wantAbsent(cluster.Claim{Presented: own, Continues: second.SessionID})
	wantAbsent(cluster.Claim{Presented: own, Continues: second.SessionID, Replace: true})
	second.mustClaim(t, cluster.Claim{Name: name, Presented: own, Resume: next, Continues: first.SessionID})
	wantLostFor(t, first, second, cluster.Continued)
	n.wantHolder(t, name, second)
	wantAbsent(cluster.Claim{Presented: own, Continues: first.SessionID})
}

func testIdentity(t *testing.T, n nodes) {
	first, second, other := n.attach(0), n.attach(1), n.attach(2)
	first.mustClaim(t, cluster.Claim{Name: alice, Identity: "alice@example.com"})
	other.wantTaken(t, cluster.Claim{Name: alice}, first)
	other.wantTaken(t, cluster.Claim{Name: alice, Identity: "mallory@example.com"}, first)
	second.mustClaim(t, cluster.Claim{Name: alice, Identity: "alice@example.com"})
	wantLost(t, first, second)
	n.wantHolder(t, alice, second)

	// Without an identity nobody is the same as anybody.
	bob := cluster.Name{Space: "call", Text: "bob"}
	first.mustClaim(t, cluster.Claim{Name: bob})
	second.wantTaken(t, cluster.Claim{Name: bob}, first)
	second.wantTaken(t, cluster.Claim{Name: bob, Identity: "alice@example.com"}, first)
}

func testClaimRace(t *testing.T, n nodes) {
	for round := range 20 {
		name := cluster.Name{Space: "call", Text: fmt.Sprint("name", round)}
		var sessions []*session
		for i := range 8 {
			sessions = append(sessions, n.attach(i))
		}
		results := make([]error, len(sessions))
		var group sync.WaitGroup
		for i, s := range sessions {
			group.Go(func() { results[i] = s.claim(t, cluster.Claim{Name: name}) })
		}
		group.Wait()
		winner := slices.Index(results, nil)
		if winner < 0 {
			t.Fatalf("round %d: no claim succeeded: %v", round, results)
		}
		for i, err := range results {
			var taken *cluster.TakenError
			if i != winner && (!errors.As(err, &taken) || taken.Holder != sessions[winner].SessionID) {
				t.Fatalf("round %d: session %d holds the name, session %d got %v", round, winner, i, err)
			}
		}
		n.wantHolder(t, name, sessions[winner])
	}
}

func testReplaceRace(t *testing.T, n nodes) {
	var sessions []*session
	var group sync.WaitGroup
	for i := range 16 {
		s := n.attach(i)
		sessions = append(sessions, s)
		group.Go(func() {
			if err := s.claim(t, cluster.Claim{Name: alice, Replace: true}); err != nil {
				t.Errorf("claim that replaces: %v", err)
			}
		})
	}
	group.Wait()
	last := n.attach(0)
	last.mustClaim(t, cluster.Claim{Name: alice, Replace: true})
	for _, s := range sessions {
		if m := s.received(t, 1)[0]; m.Kind != cluster.Lost {
			t.Errorf("session %s received a message of kind %d, want Lost", s.name, m.Kind)
		}
	}
	n.wantHolder(t, alice, last)
}

func testUniqueIDs(t *testing.T, n nodes) {
	var mu sync.Mutex // guards seen
	seen := make(map[cluster.SessionID]bool)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 100 {
				s := n.attach(i)
				mu.Lock()
				if seen[s.SessionID] || s.Node != s.node.ID() || s.Number == 0 {
					t.Errorf("session ID %s of node %s is not valid or used twice", s.SessionID, s.node.ID())
				}
				seen[s.SessionID] = true
				mu.Unlock()
				s.node.Detach(s.SessionID)
			}
		})
	}
	group.Wait()
}

func testMessage(t *testing.T, n nodes) {
	from, to := n.attach(0), n.attach(1)
	payload := []byte(`{"type":"offer","sdp":"v=0` + "\\r\\n" + `"}`)
	want := cluster.Message{
		Kind: cluster.Offer, Reason: cluster.HungUp, From: from.SessionID, FromName: "alice é",
		Call: 1<<63 + 1, PeerCall: 7, Payload: slices.Clone(payload),
	}
	sent := want
	sent.Payload = payload
	from.node.Send(to.SessionID, sent, nil)
	clear(payload) // it belongs to the sender again
	got := to.received(t, 1)[0]
	if !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("payload: got %q, want %q", got.Payload, want.Payload)
	}
	got.Payload, want.Payload = nil, nil
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("message: got %+v, want %+v", got, want)
	}
	for kind := cluster.Offer; kind <= cluster.Alive; kind++ {
		from.send(to, kind, nil)
		if m := to.received(t, 1)[0]; m.Kind != kind || len(m.Payload) != 0 {
			t.Errorf("message without payload: got %+v, want kind %d", m, kind)
		}
	}
	large := bytes.Repeat([]byte("x"), 64<<10)
	from.send(to, cluster.Offer, large)
	if m := to.received(t, 1)[0]; !bytes.Equal(m.Payload, large) {
		t.Errorf("a payload of %d bytes arrived with %d bytes, or changed", len(large), len(m.Payload))
	}
}

func testOrder(t *testing.T, n nodes) {
	const senders, messages = 8, 500
	to := n.attach(0)
	var group sync.WaitGroup
	for i := range senders {
		from := n.attach(i)
		group.Go(func() {
			payload := make([]byte, 8) // reused, as servers do
			for k := range messages {
				binary.BigEndian.PutUint64(payload, uint64(k))
				from.send(to, cluster.Candidate, payload)
			}
		})
	}
	group.Wait()
	next := make(map[cluster.SessionID]uint64)
	for _, m := range to.received(t, senders*messages) {
		if k := binary.BigEndian.Uint64(m.Payload); k != next[m.From] {
			t.Fatalf("message of session %s: got number %d, want %d", m.From, k, next[m.From])
		}
		next[m.From]++
	}
}

// echo sends each message back, with the number in Call reduced by one, until that is zero.
type echo struct {
	cluster.SessionID
	node cluster.Node
	done chan cluster.Message // receives the last message, or one of another kind
}

func (e *echo) Receive(m cluster.Message, b cluster.Batch) {
	if m.Kind != cluster.Data || m.Call == 0 {
		e.done <- m
		return
	}
	e.node.Send(m.From, cluster.Message{Kind: cluster.Data, From: e.SessionID, Call: m.Call - 1}, b)
}

func testReply(t *testing.T, n nodes) {
	done := make(chan cluster.Message, 16)
	var ends [2]*echo
	for i := range ends {
		ends[i] = &echo{node: n.at(i), done: done}
		ends[i].SessionID = ends[i].node.Attach(ends[i])
	}
	ends[0].node.Send(ends[1].SessionID, cluster.Message{Kind: cluster.Data, From: ends[0].SessionID, Call: 100}, nil)
	select {
	case m := <-done:
		if m.Kind != cluster.Data {
			t.Errorf("message in place of one of 100 replies: got %+v", m)
		}
	case <-time.After(wait):
		t.Errorf("100 replies were not sent within %s", wait)
	}
	// A session may send to itself.
	s := n.attach(0)
	s.send(s, cluster.Offer, nil)
	if m := s.received(t, 1)[0]; m.Kind != cluster.Offer || m.From != s.SessionID {
		t.Errorf("message to the sender itself: got %+v", m)
	}
}

func testGone(t *testing.T, n nodes) {
	from, to, witness := n.attach(0), n.attach(1), n.attach(2)
	to.node.Detach(to.SessionID)
	from.node.Send(to.SessionID, cluster.Message{Kind: cluster.Offer, From: from.SessionID, FromName: "from", Call: 9}, nil)
	if m := from.received(t, 1)[0]; m.Kind != cluster.Gone || m.From != to.SessionID || m.PeerCall != 9 && m.PeerCall != 0 {
		t.Errorf("reply to a message for a session that has ended: got %+v, want Gone from %s for call 9", m, to.SessionID)
	}
	// Gone is not answered.
	from.send(to, cluster.Gone, nil)
	from.receivedNothing(t, from)
	// A node that does not exist.
	from.node.Send(cluster.SessionID{Node: cluster.NodeID{1}, Number: 1}, cluster.Message{Kind: cluster.Offer, From: from.SessionID, Call: 3}, nil)
	if m := from.received(t, 1)[0]; m.Kind != cluster.Gone || m.From.Node != (cluster.NodeID{1}) {
		t.Errorf("reply to a message for an unknown node: got %+v, want Gone", m)
	}
	if len(to.messages) > 0 {
		t.Errorf("a session that has ended received %+v", to.messages)
	}
	witness.receivedNothing(t, from)
}

// testDetachRace ends the receiver while it is sent to. What has arrived is the first part of what
// was sent, and if that is not all the sender receives Gone.
func testDetachRace(t *testing.T, n nodes) {
	for range 20 {
		from, to := n.attach(0), n.attach(1)
		const messages = 200
		var group sync.WaitGroup
		group.Go(func() {
			payload := make([]byte, 8)
			for k := range messages {
				binary.BigEndian.PutUint64(payload, uint64(k))
				from.send(to, cluster.Candidate, payload)
			}
		})
		group.Go(func() {
			<-to.arrived
			to.node.Detach(to.SessionID)
		})
		group.Wait()
		from.send(to, cluster.Leave, nil) // is certainly too late
		timeout := time.After(wait)
		for gone := false; !gone; {
			select {
			case <-from.arrived:
			case <-timeout:
				t.Fatalf("the sender did not receive Gone within %s", wait)
			}
			from.mu.Lock()
			gone = len(from.messages) > 0
			from.mu.Unlock()
		}
		to.mu.Lock()
		for k, m := range to.messages {
			if got := binary.BigEndian.Uint64(m.Payload); got != uint64(k) {
				t.Errorf("message %d of the session that ended has number %d", k, got)
			}
		}
		to.mu.Unlock()
	}
}

// testWatch checks a node that is a cluster.Watcher; the others have nothing to notify.
func testWatch(t *testing.T, n nodes) {
	if _, ok := n[0].(cluster.Watcher); !ok {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	first, second, ended, holder := n.attach(0), n.attach(1), n.attach(2), n.attach(3)
	bob := cluster.Name{Space: "call", Text: "bob"}
	watch := func(s *session, name cluster.Name) {
		if err := s.node.(cluster.Watcher).Watch(ctx, name, s.SessionID); err != nil {
			t.Fatal(err)
		}
	}
	announce := func(name cluster.Name) {
		holder.node.(cluster.Watcher).Announce(name, holder.SessionID, nil)
	}
	for _, s := range []*session{first, second, ended} {
		watch(s, alice)
		watch(s, bob)
	}
	ended.node.(cluster.Watcher).Unwatch(alice, ended.SessionID)
	watch(first, alice) // which changes nothing
	holder.mustClaim(t, cluster.Claim{Name: alice})
	announce(alice)
	announce(alice) // which finds no watch
	for _, s := range []*session{first, second} {
		if m := s.received(t, 1)[0]; m.Kind != cluster.Present || m.From != holder.SessionID || m.FromName != alice.Text {
			t.Errorf("session %s received %+v, want Present of %s", s.name, m, alice.Text)
		}
	}
	ended.receivedNothing(t, holder)
	first.receivedNothing(t, holder)
	announce(bob)
	for _, s := range []*session{first, second, ended} {
		if m := s.received(t, 1)[0]; m.Kind != cluster.Present || m.FromName != bob.Text {
			t.Errorf("session %s received %+v, want Present of %s", s.name, m, bob.Text)
		}
	}
}

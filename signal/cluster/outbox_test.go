package cluster_test

import (
	"slices"
	"sync"
	"testing"

	"parley/signal/cluster"
)

// echoing is a session whose receiver sends further messages while one is delivered.
type echoing struct {
	mu     sync.Mutex // guards outbox
	outbox cluster.Outbox
	node   cluster.Router
	id     cluster.SessionID
	got    []string
}

// Receive implements cluster.Receiver.
func (e *echoing) Receive(m cluster.Message, _ cluster.Batch) {
	e.got = append(e.got, string(m.Payload))
	if len(e.got) > 1 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.outbox.Sending() {
		panic("no message is sent")
	}
	payload := []byte("second")
	e.outbox.Send(&e.mu, e.node, e.id, &cluster.Message{From: e.id, Payload: payload}, nil)
	copy(payload, "broken") // not used after Send has returned
	e.outbox.Queue(cluster.Outgoing{To: e.id, Message: cluster.Message{From: e.id, Payload: []byte("third")}})
	if len(e.got) != 1 {
		panic("a message is sent while another one is")
	}
}

// TestOutbox sends messages while another one is sent: one after the other, in order.
func TestOutbox(t *testing.T) {
	m := cluster.NewMemory()
	e := &echoing{node: m}
	e.id = m.Attach(e)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.outbox.Send(&e.mu, m, e.id, &cluster.Message{From: e.id, Payload: []byte("first")}, nil)
	if want := []string{"first", "second", "third"}; !slices.Equal(e.got, want) || e.outbox.Sending() {
		t.Errorf("messages: got %v, sending %v, want %v", e.got, e.outbox.Sending(), want)
	}
}

//go:build !quick

package nats

import (
	"testing"
	"time"

	"parley/signal/cluster"
)

// batchOf encodes a batch.
func batchOf(h header, messages ...cluster.Message) []byte {
	b := appendHeader(nil, h)
	for i := range messages {
		b = appendMessage(b, &messages[i])
	}
	return b
}

// silentNode gives a node that does not exist a lease: messages to its sessions are not answered.
func silentNode(t *testing.T, n *Node) (session cluster.SessionID) {
	t.Helper()
	session = cluster.SessionID{Node: cluster.NodeID{1}, Number: 1}
	if _, err := n.buckets.Load().leases.Put(t.Context(), leaseKey(session.Node), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	return session
}

// TestLateCopies passes a batch to a node again after the node has dropped its link to the sender,
// in each way that it does: the messages arrive once, and the sender learns that the link is reset.
func TestLateCopies(t *testing.T) {
	t.Parallel()
	n := startNode(t, Options{Servers: []string{natstestServer(t)}, Lease: time.Minute})
	for name, drop := range map[string]func(local, remote cluster.SessionID){
		"the lease of this node has ended":   func(_, _ cluster.SessionID) { n.resetLinks() },
		"the lease of the sender has ended":  func(_, remote cluster.SessionID) { n.nodeLost(remote.Node) },
		"the sender has ended some time ago": func(local, remote cluster.SessionID) { n.endLink(local, remote) },
	} {
		t.Run(name, func(t *testing.T) {
			c := attach(n)
			from := cluster.SessionID{Node: cluster.NodeID{byte(c.Number)}, Number: 1}
			data := batchOf(header{from: from, to: c.SessionID, epoch: 5, first: 1}, cluster.Message{Kind: cluster.Data, Payload: []byte("1")})
			if got := n.receive(data); got != replyOK {
				t.Fatalf("reply: got %d, want %d", got, replyOK)
			}
			drop(c.SessionID, from)
			if got := n.receive(data); got != replyGap {
				t.Errorf("reply to the late copy: got %d, want %d", got, replyGap)
			}
			next := batchOf(header{from: from, to: c.SessionID, epoch: 6, first: 1}, cluster.Message{Kind: cluster.Data, Payload: []byte("2")})
			if got := n.receive(next); got != replyOK {
				t.Errorf("reply to a batch that was made later: got %d, want %d", got, replyOK)
			}
			var got []string
			for len(c.got) > 0 {
				if m := <-c.got; m.Kind != cluster.Gone {
					got = append(got, string(m.Payload))
				}
			}
			if len(got) != 2 || got[0] != "1" || got[1] != "2" {
				t.Errorf("messages: got %q, want 1 and 2", got)
			}
		})
	}
}

// endLink makes a node forget a link whose remote session has ended.
func (n *Node) endLink(local, remote cluster.SessionID) {
	l := n.link(local, remote, false)
	l.mu.Lock()
	l.gone, l.endedAt = true, time.Now().Add(-2*endedFor)
	l.mu.Unlock()
	n.sweepLinks()
}

// TestQueueOverflow sends more than may wait for a session, as messages of two calls: the sender is
// informed that messages of all calls are lost, whichever message was one too many.
func TestQueueOverflow(t *testing.T) {
	t.Parallel()
	n := startNode(t, Options{Servers: []string{natstestServer(t)}, Lease: time.Minute})
	to := silentNode(t, n)
	for name, kind := range map[string]cluster.Kind{"message": cluster.Data, "gone": cluster.Gone} {
		t.Run(name, func(t *testing.T) {
			c := attach(n)
			send := func(kind cluster.Kind, call uint64, size int) {
				n.Send(to, cluster.Message{Kind: kind, From: c.SessionID, Call: call, Payload: make([]byte, size)}, nil)
			}
			send(cluster.Data, 1, 1)
			for range maxQueue/maxBatch - 1 {
				send(cluster.Data, 1, maxBatch)
			}
			if len(c.got) > 0 {
				t.Fatalf("before the queue is full: got %+v", <-c.got)
			}
			send(kind, 2, maxBatch)
			if len(c.got) == 0 {
				t.Fatal("the sender is not informed that its messages are lost")
			}
			if m := <-c.got; m.Kind != cluster.Gone || m.PeerCall != 0 || m.From != to {
				t.Errorf("message to the sender: got %+v, want Gone for all calls", m)
			}
		})
	}
}

// TestGoneOfEndedSession ends a node whose session has ended before it has received what was sent
// to it: the sender is informed.
func TestGoneOfEndedSession(t *testing.T) {
	t.Parallel()
	n := startNode(t, Options{Servers: []string{natstestServer(t)}, Lease: time.Minute})
	to := silentNode(t, n)
	c := attach(n)
	n.Send(to, cluster.Message{Kind: cluster.Data, From: c.SessionID, Call: 1}, nil)
	end := appendEnd(appendHeader(nil, header{from: to, to: c.SessionID, epoch: 1, first: 1}))
	if got := n.receive(end); got != replyOK {
		t.Fatalf("reply: got %d, want %d", got, replyOK)
	}
	n.nodeLost(to.Node)
	if len(c.got) == 0 {
		t.Fatal("the sender is not informed that its message is lost")
	}
	if m := <-c.got; m.Kind != cluster.Gone || m.From != to {
		t.Errorf("message to the sender: got %+v, want Gone", m)
	}
}

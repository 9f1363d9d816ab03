//go:build !quick

package nats

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"parley/signal/cluster"
)

// TestRequestToLostNode ends the lease of a node that has received a request and has not answered.
func TestRequestToLostNode(t *testing.T) {
	t.Parallel()
	n := startNode(t, Options{Servers: []string{natstestServer(t)}, Lease: time.Minute})
	other := cluster.NodeID{1} // has a lease and answers as the test does
	if _, err := n.buckets.Load().leases.Put(t.Context(), leaseKey(other), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Request(t.Context(), other, nil); !errors.Is(err, cluster.ErrUnavailable) { // known or not
		t.Errorf("a node that has a lease: got %v, want %v", err, cluster.ErrUnavailable)
	}
	eventually(t, "the other node is known", func() bool { return n.peers.has(other) })
	sub, err := n.conn.Subscribe(n.nodeSubject(other, requestSubject), func(*natsgo.Msg) {
		if err := n.buckets.Load().nodes.Purge(n.ctx, jetstream.WithPurgeSubject(n.leaseSubject()+leaseKey(other))); err != nil {
			t.Error(err)
		}
		n.wakeUp()
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Request(t.Context(), other, nil); err != cluster.ErrAbsent {
		t.Errorf("got %v, want %v", err, cluster.ErrAbsent)
	}
	_ = sub.Unsubscribe()
	checkRequests(t, "sent", n.metrics.requestsSent, map[string]float64{"success": 0, "absent": 1, "unavailable": 1})
}

// checkRequests checks how many requests were counted, by result.
func checkRequests(t *testing.T, what string, counted *prometheus.CounterVec, want map[string]float64) {
	t.Helper()
	for result, want := range want {
		if got := value(t, counted.WithLabelValues(result)); got != want {
			t.Errorf("requests %s with result %s: got %v, want %v", what, result, got, want)
		}
	}
}

// TestRequestBounds has a node receive, and send, more requests than it handles at the same time.
func TestRequestBounds(t *testing.T) {
	t.Parallel()
	url := natstestServer(t)
	n, other := startNode(t, Options{Servers: []string{url}}), startNode(t, Options{Servers: []string{url}})
	handled, answer := make(chan struct{}, 2*maxRequests), make(chan struct{})
	if err := n.HandleRequests(func(context.Context, []byte) []byte {
		handled <- struct{}{}
		<-answer
		return []byte("reply")
	}); err != nil {
		t.Fatal(err)
	}
	if err := n.conn.Flush(); err != nil { // the server knows the subscription
		t.Fatal(err)
	}
	replies := make(chan string, 2*maxRequests)
	inbox := natsgo.NewInbox()
	if _, err := n.conn.Subscribe(inbox, func(m *natsgo.Msg) { replies <- string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, maxRequests)
	for range maxRequests {
		go func() {
			_, err := other.Request(t.Context(), n.ID(), nil)
			results <- err
		}()
	}
	for range maxRequests {
		<-handled
	}
	if _, err := other.Request(t.Context(), n.ID(), nil); !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), "256 requests") {
		t.Errorf("one request more: got %v, want %v: 256 requests are on their way", err, cluster.ErrUnavailable)
	}
	if err := n.conn.PublishRequest(n.nodeSubject(n.ID(), requestSubject), inbox, nil); err != nil {
		t.Fatal(err)
	}
	if reply := <-replies; reply != "" || len(handled) > 0 {
		t.Errorf("reply of the node to one request more: got %q, want an empty one", reply)
	}
	close(answer)
	for range maxRequests {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if reply, err := other.Request(t.Context(), n.ID(), nil); err != nil || string(reply) != "reply" {
		t.Errorf("a request afterwards: got %q, %v", reply, err)
	}
	checkRequests(t, "sent", other.metrics.requestsSent, map[string]float64{"success": maxRequests + 1, "absent": 0, "unavailable": 1})
	checkRequests(t, "received", n.metrics.requestsReceived, map[string]float64{"success": maxRequests + 1, "unavailable": 1})
}

// TestRequestToClosedNode sends requests while and after a node closes.
func TestRequestToClosedNode(t *testing.T) {
	t.Parallel()
	url := natstestServer(t)
	n, other := startNode(t, Options{Servers: []string{url}}), startNode(t, Options{Servers: []string{url}})
	if err := n.HandleRequests(func(context.Context, []byte) []byte { return []byte("reply") }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	eventually(t, "a reply", func() bool {
		_, err := other.Request(ctx, n.ID(), nil)
		if err == cluster.ErrAbsent {
			t.Fatal("a node that has a lease is absent")
		}
		return err == nil && other.peers.has(n.ID())
	})
	go n.Close()
	for {
		_, err := other.Request(ctx, n.ID(), nil)
		if err == cluster.ErrAbsent {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("got %v, want %v", err, cluster.ErrAbsent)
		}
	}
}

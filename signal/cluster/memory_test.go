package cluster_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"parley/signal/cluster"
	"parley/signal/cluster/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	clustertest.Run(t, func(*testing.T) []cluster.Node { return []cluster.Node{cluster.NewMemory()} })
}

// TestMemoryAnswersAtOnce checks what a server without a cluster relies on for its speed: nothing
// is left to do when a call has returned.
func TestMemoryAnswersAtOnce(t *testing.T) {
	m := cluster.NewMemory()
	var got counter
	alice, bob := m.Attach(&got), m.Attach(&got)
	name := cluster.Name{Space: "call", Text: "alice"}
	var results []error
	for _, id := range []cluster.SessionID{alice, bob} {
		m.Claim(cluster.Claim{Name: name, Session: id}, nil, func(err error) { results = append(results, err) })
	}
	var taken *cluster.TakenError
	if len(results) != 2 || results[0] != nil || !errors.As(results[1], &taken) || taken.Holder != alice {
		t.Fatalf("results of two claims: got %v, want nil, then a TakenError with the first session", results)
	}
	m.Send(alice, cluster.Message{Kind: cluster.Offer, From: bob}, nil)
	if got != 1 {
		t.Errorf("messages received when Send returned: got %d, want 1", got)
	}
}

// counter counts messages. counter is not safe for concurrent use.
type counter int

func (c *counter) Receive(cluster.Message, cluster.Batch) { *c++ }

type discard struct{}

func (discard) Receive(cluster.Message, cluster.Batch) {}

func BenchmarkMemorySend(b *testing.B) {
	m := cluster.NewMemory()
	b.RunParallel(func(pb *testing.PB) {
		from, to := m.Attach(discard{}), m.Attach(discard{})
		payload := make([]byte, 200)
		for pb.Next() {
			m.Send(to, cluster.Message{Kind: cluster.Candidate, From: from, FromName: "alice", Call: 1, PeerCall: 1, Payload: payload}, nil)
		}
	})
}

func BenchmarkMemoryClaim(b *testing.B) {
	m := cluster.NewMemory()
	name := cluster.Name{Space: "call", Text: "alice"}
	id := m.Attach(discard{})
	ctx := context.Background()
	for b.Loop() {
		m.Claim(cluster.Claim{Name: name, Session: id}, nil, func(err error) {
			if err != nil {
				b.Fatal(err)
			}
		})
		if _, err := m.Lookup(ctx, name); err != nil {
			b.Fatal(err)
		}
		m.Release(name, id)
	}
}

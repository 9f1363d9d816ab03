//go:build !quick

package nats

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"parley/signal/cluster"
	"parley/signal/cluster/nats/names"
)

// twoNodes starts two nodes at one NATS server, whose leases are not renewed during a test.
func twoNodes(t *testing.T) (a, b *Node) {
	t.Helper()
	o := Options{Servers: []string{natstestServer(t)}, Lease: 10 * time.Minute}
	return startNode(t, o), startNode(t, o)
}

// TestLookupDuringClaim looks a name up that a session of the same node has claimed, before the
// node knows that the claim has succeeded: the lookup waits.
func TestLookupDuringClaim(t *testing.T) {
	t.Parallel()
	n, _ := twoNodes(t)
	c := attach(n)
	own := names.NewRecord(&cluster.Claim{Session: c.SessionID})
	written, looked := make(chan uint64), make(chan struct{})
	n.names.Enqueue(call("alice"), func() { // as a claim does
		n.names.SetClaiming(call("alice"), c.SessionID)
		revision, err := n.buckets.Load().names.Create(t.Context(), names.Key(call("alice")), own.Value())
		if err != nil {
			t.Error(err)
		}
		written <- revision
		<-looked
		n.names.Set(call("alice"), own, revision)
		n.names.SetClaiming(call("alice"), cluster.SessionID{})
	})
	<-written
	if _, err := n.tryLookup(t.Context(), n.buckets.Load(), call("alice")); err != errUnconfirmed {
		t.Errorf("lookup before the claim is confirmed: got %v, want %v", err, errUnconfirmed)
	}
	found := make(chan cluster.SessionID)
	go func() {
		holder, err := n.Lookup(t.Context(), call("alice"))
		if err != nil {
			t.Error(err)
		}
		found <- holder
	}()
	close(looked)
	if holder := <-found; holder != c.SessionID {
		t.Errorf("lookup: got %s, want %s", holder, c.SessionID)
	}
}

// TestTakenAndReleased takes a name from a session and releases it, without a message about that to
// the session: its node does not claim the name again, but ends the session. After the end of a
// lease, when anybody may have taken the name, it does.
func TestTakenAndReleased(t *testing.T) {
	t.Parallel()
	n, other := twoNodes(t)
	for name, leaseEnded := range map[string]bool{"taken by right": false, "taken after the end of the lease": true} {
		c := attach(n)
		c.mustClaim(t, name)
		_, revision := n.names.Holder(call(name))
		kv := other.buckets.Load().names
		revision, err := kv.Update(t.Context(), names.Key(call(name)), []byte("{}"), revision)
		if err == nil {
			err = kv.Purge(t.Context(), names.Key(call(name)), jetstream.LastRevision(revision), jetstream.PurgeTTL(markerTTL))
		}
		if err != nil {
			t.Fatal(err)
		}
		if leaseEnded {
			n.names.LeaseEnded()
		}
		n.reassertName(call(name))
		if lost := len(c.got) > 0 && c.next(t).Kind == cluster.Lost; lost == leaseEnded {
			t.Errorf("%s: the session has lost its name: %v", name, lost)
		}
		if holder, err := other.Lookup(t.Context(), call(name)); (err == nil && holder == c.SessionID) != leaseEnded {
			t.Errorf("%s: lookup: got %s, %v", name, holder, err)
		}
	}
}

// TestTakenFromDeadNode takes a name from a node that has no lease, and does not know that yet: the
// session is informed at once.
func TestTakenFromDeadNode(t *testing.T) {
	t.Parallel()
	n, other := twoNodes(t)
	alice, bob := attach(n), attach(other)
	alice.mustClaim(t, "alice")
	if err := other.buckets.Load().leases.Purge(t.Context(), leaseKey(n.ID())); err != nil {
		t.Fatal(err)
	}
	bob.mustClaim(t, "alice")
	if m := alice.next(t); m.Kind != cluster.Lost || m.From != bob.SessionID {
		t.Errorf("message to the session whose name was taken: got %+v, want Lost", m)
	}
}

// TestLeaseOfPausedNode lets the lease of a node end by the clocks of nodes only, as when the clock
// of the NATS server is late: another node takes a name, and the node finds out by itself that its
// lease had ended.
func TestLeaseOfPausedNode(t *testing.T) {
	t.Parallel()
	n, other := twoNodes(t)
	alice, bob := attach(n), attach(other)
	alice.mustClaim(t, "alice")
	if live, err := other.isLive(t.Context(), n.ID()); err != nil || !live {
		t.Fatalf("node with a lease: live %v, %v", live, err)
	}
	other.peers.mu.Lock()
	s := other.peers.seen[n.ID()]
	other.peers.seen[n.ID()] = sighting{s.revision, s.since.Add(-other.opts.Lease)}
	other.peers.mu.Unlock()
	bob.mustClaim(t, "alice")
	if m := alice.next(t); m.Kind != cluster.Lost || m.From != bob.SessionID {
		t.Errorf("message to the session whose name was taken: got %+v, want Lost", m)
	}
	n.renewed.Add(-int64(n.opts.Lease))
	n.renewNow.Store(true)
	n.wakeUp()
	eventually(t, "the node knows that its lease had ended", func() bool { return value(t, n.metrics.leasesLost) == 1 })
	if live, err := other.isLive(t.Context(), n.ID()); err != nil || !live {
		t.Errorf("node that has renewed its lease: live %v, %v", live, err)
	}
}

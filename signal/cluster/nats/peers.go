package nats

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"parley/signal/cluster"
)

// reassertInterval is how often a node checks that it still has its names, one after the other: the
// NATS servers may have lost data that checkBucket does not miss. Each check leaves garbage, and a
// shorter interval would be paid for with memory.
const reassertInterval = 15 * time.Minute

// jitter returns d, changed by a fifth at random.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5) }

// peers are the nodes that have a lease.
type peers struct {
	mu   sync.Mutex // guards what follows
	live map[cluster.NodeID]peer
	seen map[cluster.NodeID]sighting
}

type peer struct {
	host     string
	settings string
	lost     chan struct{} // closed by nodeLost
}

// sighting is a lease that was read: its revision, and when that was read first.
type sighting struct {
	revision uint64
	since    time.Time
}

// see notes a lease that was read. It reports false if the lease was not renewed for its length by
// the clock of this node. By the clocks of the NATS servers it may not have ended.
func (p *peers) see(id cluster.NodeID, revision uint64, lease time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.seen[id]
	if !ok || s.revision != revision {
		s = sighting{revision, time.Now()}
		p.seen[id] = s
	}
	return time.Since(s.since) < lease
}

func (p *peers) has(id cluster.NodeID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.live[id]
	return ok
}

// lost returns a channel that is closed when a node is lost, nil if it is none now.
func (p *peers) lost(id cluster.NodeID) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live[id].lost
}

func (p *peers) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.live)
}

// leaseSubject returns the subject of all leases, before their keys.
func (n *Node) leaseSubject() string { return "$KV." + n.opts.Prefix + "_nodes." }

// pollNodes reads which nodes have a lease, and handles the loss of those that had one. Only run
// calls it.
func (n *Node) pollNodes() {
	b := n.buckets.Load()
	if b == nil {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, operationTimeout)
	defer cancel()
	subject := n.leaseSubject()
	info, err := b.nodes.Info(ctx, jetstream.WithSubjectFilter(subject+">"))
	if err != nil {
		return // what is known stays: no node is lost for lack of an answer
	}
	live := make(map[cluster.NodeID]bool)
	for key := range info.State.Subjects {
		id, ok := cluster.ParseNodeID(strings.TrimPrefix(key, subject))
		if !ok || id == n.ID() {
			continue
		}
		live[id] = true
		if !n.peers.has(id) {
			n.addPeer(ctx, b, id)
		}
	}
	n.peers.mu.Lock()
	var gone, check []cluster.NodeID
	for id := range n.peers.live {
		switch {
		case !live[id]:
			gone = append(gone, id)
		case !time.Now().Before(n.nextCheck):
			check = append(check, id)
		}
	}
	maps.DeleteFunc(n.peers.seen, func(id cluster.NodeID, _ sighting) bool { return !live[id] })
	n.peers.mu.Unlock()
	if len(check) > 0 {
		n.nextCheck = time.Now().Add(jitter(n.opts.Lease / 2))
	}
	for _, id := range gone {
		n.nodeLost(id)
	}
	for _, id := range check {
		network{n}.CheckNode(ctx, id)
	}
}

// addPeer notes a node that has a lease.
func (n *Node) addPeer(ctx context.Context, b *buckets, id cluster.NodeID) {
	entry, err := b.leases.Get(ctx, leaseKey(id))
	if err != nil || !n.peers.see(id, entry.Revision(), n.opts.Lease) {
		return
	}
	var value leaseValue
	if json.Unmarshal(entry.Value(), &value) != nil {
		n.log.Warn("the lease of a node cannot be read", slog.String("node", id.String()))
	}
	n.peers.mu.Lock()
	p, known := n.peers.live[id]
	if !known {
		p.lost = make(chan struct{})
	}
	n.peers.live[id] = peer{value.Host, value.Settings, p.lost}
	n.peers.mu.Unlock()
	if known {
		return
	}
	n.log.Info("node joined", slog.String("node", id.String()), slog.String("host", value.Host))
	if value.Settings != n.opts.Settings {
		n.metrics.settings.Inc()
		n.log.Warn("a node has other settings of logins: give all nodes the same, or each cluster a prefix of its own",
			slog.String("node", id.String()), slog.String("host", value.Host), slog.String("prefix", n.opts.Prefix))
	}
}

// nodeLost ends all that this node shares with one that has no lease any more.
func (n *Node) nodeLost(id cluster.NodeID) {
	n.peers.mu.Lock()
	p, known := n.peers.live[id]
	delete(n.peers.live, id)
	n.peers.mu.Unlock()
	if known {
		close(p.lost)
		n.log.Info("node left", slog.String("node", id.String()), slog.String("host", p.host))
	}
	n.links.DropNode(id)
}

// isLive reports whether a node has a lease now. It reads the lease: peers may be out of date.
func (n *Node) isLive(ctx context.Context, id cluster.NodeID) (bool, error) {
	b := n.buckets.Load()
	if b == nil {
		return false, cluster.ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	switch entry, err := b.leases.Get(ctx, leaseKey(id)); {
	case err == nil:
		return n.peers.see(id, entry.Revision(), n.opts.Lease), nil
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return false, nil
	default:
		return false, err
	}
}

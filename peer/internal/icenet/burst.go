package icenet

import (
	"sync"
	"sync/atomic"
)

// bursts collects the datagrams that are written to the sockets of a Net during a burst, so that
// one system call sends many.
type bursts struct {
	active atomic.Bool

	mu        sync.Mutex // guards the following
	collected []flusher  // sockets that have collected datagrams
}

// flusher is a socket that sends the datagrams that it has collected.
type flusher interface{ flush() }

// add notes that a socket has collected datagrams. If the burst has ended meanwhile, it sends them.
func (b *bursts) add(s flusher) {
	b.mu.Lock()
	b.collected = append(b.collected, s)
	b.mu.Unlock()
	if !b.active.Load() {
		b.flush()
	}
}

// flush sends what the sockets have collected.
func (b *bursts) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range b.collected {
		s.flush()
		b.collected[i] = nil
	}
	b.collected = b.collected[:0]
}

// BeginBurst lets the sockets collect the datagrams that are written until EndBurst. The caller
// writes some at once, and then calls EndBurst.
func (n *Net) BeginBurst() { n.host.bursts.active.Store(true) }

// InBurst reports whether the sockets collect datagrams.
func (n *Net) InBurst() bool { return n.host.bursts.active.Load() }

// EndBurst sends the datagrams of the burst.
func (n *Net) EndBurst() {
	n.host.bursts.active.Store(false)
	n.host.bursts.flush()
}

// Package udp reads and writes UDP sockets with few system calls. On Linux it receives datagrams in
// batches (recvmmsg, UDP_GRO) and sends them in bursts (UDP_SEGMENT), where the kernel can.
package udp

import (
	"sync"
	"sync/atomic"
)

// Group is sockets that have their bursts together: those of one connection. The zero value is
// ready for use. A Group must not be copied.
type Group struct {
	active  atomic.Bool // a burst
	batches sync.Pool   // of *batch, for sockets with datagrams that were received but not read

	mu        sync.Mutex // guards the following
	collected []flusher  // sockets that have collected datagrams
}

// flusher is a socket that sends the datagrams that it has collected.
type flusher interface{ flush() }

// BeginBurst lets the sockets collect the datagrams that are written until EndBurst, so that one
// system call sends many. The caller writes some at once, and then calls EndBurst.
func (g *Group) BeginBurst() { g.active.Store(true) }

// InBurst reports whether the sockets collect datagrams.
func (g *Group) InBurst() bool { return g.active.Load() }

// EndBurst sends the datagrams of the burst.
func (g *Group) EndBurst() {
	g.active.Store(false)
	g.flush()
}

// add notes that a socket has collected datagrams. If the burst has ended meanwhile, it sends them.
func (g *Group) add(s flusher) {
	g.mu.Lock()
	g.collected = append(g.collected, s)
	g.mu.Unlock()
	if !g.active.Load() {
		g.flush()
	}
}

// flush sends what the sockets have collected.
func (g *Group) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, s := range g.collected {
		s.flush()
		g.collected[i] = nil
	}
	g.collected = g.collected[:0]
}

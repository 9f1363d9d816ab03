package turnserver

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"

	"parley/signal/internal/ratelimit"
)

// addrPortOf returns the IP address and port of a UDP or TCP address. IPv4-mapped IPv6 addresses
// become IPv4.
func addrPortOf(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// newRequestBuckets returns the token buckets that bound the requests of each client address that
// has no allocation: what an address can make the server compute, and how many responses the owner
// of a forged source address gets (RFC 8656 section 21.3.1). Ten times perSecond may come at once.
func newRequestBuckets(perSecond int) *ratelimit.HashedBuckets {
	if perSecond >= int(time.Second) { // or unlimited
		return ratelimit.NewHashedBuckets(ratelimit.Rate{})
	}
	return ratelimit.NewHashedBuckets(ratelimit.New(float64(perSecond), 10*perSecond))
}

// Bounds of an allocation. Each permission holds a timer, and pion/turn searches all channels for
// each packet of a peer. ICE uses one permission for each IP address and one channel for each
// address of the peer.
const (
	maxPermissions = 256
	maxChannels    = 256
)

// clientTable holds the clients of one socket that have an allocation.
type clientTable struct {
	mu      sync.RWMutex // guards clients and the clients in it
	clients map[netip.AddrPort]*clientState

	// changed, if not nil, is called with the address of a client that got or lost an allocation.
	changed func(netip.AddrPort)
}

func newClientTable() *clientTable { return &clientTable{clients: map[netip.AddrPort]*clientState{}} }

// clientState is a client with an allocation. For a moment it may have two: a new one, and one that
// is being deleted.
type clientState struct {
	allocations int
	permissions map[netip.Addr]int // 1 for each IP address of a peer, or 2 for that moment
	channels    int
}

// has reports whether a client has an allocation.
func (t *clientTable) has(a netip.AddrPort) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.clients[a] != nil
}

// mayAdd reports whether the allocation of a client may have a permission for a peer, and channels
// to it.
func (t *clientTable) mayAdd(a netip.AddrPort, peer netip.Addr) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c := t.clients[a]
	return c != nil && c.channels < maxChannels && (c.permissions[peer] > 0 || len(c.permissions) < maxPermissions)
}

// addAllocation adds 1 or -1 to the allocations of a client.
func (t *clientTable) addAllocation(a netip.AddrPort, n int) {
	t.mu.Lock()
	c := t.clients[a]
	if c == nil {
		c = &clientState{permissions: map[netip.Addr]int{}}
		t.clients[a] = c
	}
	if c.allocations += n; c.allocations == 0 {
		delete(t.clients, a)
	}
	t.mu.Unlock()
	if t.changed != nil {
		t.changed(a)
	}
}

// addPermission adds 1 or -1 to the permissions of a client for a peer.
func (t *clientTable) addPermission(a netip.AddrPort, peer netip.Addr, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.clients[a]
	if c == nil {
		return
	}
	if c.permissions[peer] += n; c.permissions[peer] <= 0 {
		delete(c.permissions, peer)
	}
}

// addChannel adds 1 or -1 to the channels of a client.
func (t *clientTable) addChannel(a netip.AddrPort, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clients[a]; c != nil {
		c.channels += n
	}
}

// streamTable bounds the streams of a server. A stream without an allocation costs the client
// nothing, so there are few for each address, and the oldest of all makes room for a new one.
type streamTable struct {
	opts     *Options
	counters *counters

	mu        sync.Mutex // guards the fields below, and waiting and removed of every stream
	waiting   list.List  // of *stream: those without an allocation, the oldest first
	perPrefix map[netip.Addr]int
}

func newStreamTable(opts *Options, counters *counters) *streamTable {
	return &streamTable{opts: opts, counters: counters, perPrefix: map[netip.Addr]int{}}
}

// add adds a new stream, or counts the refusal and returns false.
func (t *streamTable) add(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.perPrefix[s.prefix] >= t.opts.StreamsPerAddress {
		t.counters.addRefusal(ReasonAddress)
		return false
	}
	if int(t.counters.streams.Load()) >= t.opts.MaxStreams {
		t.counters.addRefusal(ReasonFull)
		oldest := t.waiting.Front()
		if oldest == nil {
			return false
		}
		evicted := oldest.Value.(*stream)
		t.removeLocked(evicted)
		_ = evicted.raw.Close()
	}
	t.counters.streams.Add(1)
	t.setWaiting(s, true)
	return true
}

// remove removes a stream. It may be called twice.
func (t *streamTable) remove(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(s)
}

func (t *streamTable) removeLocked(s *stream) {
	if s.removed {
		return
	}
	s.removed = true
	t.setWaiting(s, false)
	t.counters.streams.Add(-1)
}

// setAllocated records whether a stream has an allocation.
func (t *streamTable) setAllocated(s *stream, allocated bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.removed {
		t.setWaiting(s, !allocated)
	}
}

func (t *streamTable) setWaiting(s *stream, waiting bool) {
	switch {
	case waiting && s.waiting == nil:
		s.waiting = t.waiting.PushBack(s)
		t.perPrefix[s.prefix]++
	case !waiting && s.waiting != nil:
		t.waiting.Remove(s.waiting)
		s.waiting = nil
		if t.perPrefix[s.prefix]--; t.perPrefix[s.prefix] == 0 {
			delete(t.perPrefix, s.prefix)
		}
	}
}

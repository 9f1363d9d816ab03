package turnserver

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// allocation is the UDP socket of one allocation. Clients see it at its relayed (public) address.
// Packets between two allocations of this server go from socket to socket, since a NAT in front of
// this machine may not send them back.
type allocation struct {
	net.PacketConn
	allocator *allocator
	owner     owner
	address   Address
	relayed   netip.AddrPort // public address
	ageTimer  *time.Timer    // nil without Options.MaxAge; guarded by allocator.mu
	released  sync.Once
}

// WriteTo sends to a peer for whose IP address pion/turn has found a permission. Packets to other
// services of this machine are dropped.
func (a *allocation) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errFamily
	}
	target := netip.AddrPortFrom(addrFromIP(u.IP), uint16(u.Port))
	switch {
	case a.allocator.has(target):
		u = net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.localAddr(), target.Port()))
	case a.allocator.filter.allocationsOnly(target.Addr()):
		return len(b), nil
	}
	n, err := a.PacketConn.WriteTo(b, u)
	a.allocator.counters.sent.Add(uint64(max(n, 0)))
	return n, err
}

// localAddr returns the address at which allocations of this server reach each other.
func (a *allocation) localAddr() netip.Addr {
	switch {
	case !a.address.Bind.IsUnspecified():
		return a.address.Bind
	case a.address.Bind.Is4():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// ReadFrom returns the next packet of a peer, until the allocation is closed. It ignores errors of
// single packets (ICMP).
func (a *allocation) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := a.PacketConn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			a.release()
			return 0, nil, err
		}
		u, ok := from.(*net.UDPAddr)
		if err != nil || !ok {
			time.Sleep(time.Millisecond) // a lasting error must not occupy a processor
			continue
		}
		source := netip.AddrPortFrom(addrFromIP(u.IP), uint16(u.Port))
		other := netip.AddrPortFrom(a.relayed.Addr(), source.Port())
		switch {
		case source.Addr() == a.localAddr() && a.allocator.has(other):
			source = other
		case a.allocator.filter.allocationsOnly(source.Addr()):
			continue
		}
		a.allocator.counters.received.Add(uint64(n))
		return n, net.UDPAddrFromAddrPort(source), nil
	}
}

// LocalAddr returns the relayed address.
func (a *allocation) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(a.relayed) }

// Close closes the socket. It always returns nil: after an error pion/turn would leave the other
// allocations open.
func (a *allocation) Close() error {
	a.allocator.remove(a)
	_ = a.PacketConn.Close()
	return nil
}

// release gives the place of the allocation back. The goroutine that reads from it calls it last.
func (a *allocation) release() {
	a.released.Do(func() {
		a.allocator.remove(a)
		a.allocator.release(a.owner)
	})
}

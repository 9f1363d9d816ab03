package turnserver

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// port is one open relay: a UDP socket that reaches what peers allow. To clients, relays of this server are at their public
// addresses; beneath, packets between two of them go from socket to socket, for a NAT in front of this machine may not turn them back.
type port struct {
	net.PacketConn
	ports   *ports
	user    string
	address Address
	public  netip.AddrPort
	age     *time.Timer // nil for no bound; guarded by ports.mu
	ended   sync.Once
}

// WriteTo sends to a peer that pion/turn has found permitted by its IP address. What must not leave is dropped, as a network would.
func (r *port) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errFamily
	}
	target := netip.AddrPortFrom(addrOf(u.IP), uint16(u.Port))
	switch {
	case r.ports.isOpen(target):
		u = net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.local(), target.Port()))
	case r.ports.peers.portsOnly(target.Addr()):
		return len(b), nil
	}
	n, err := r.PacketConn.WriteTo(b, u)
	r.ports.count.sent.Add(uint64(max(n, 0)))
	return n, err
}

// local is where the relays of this server reach each other.
func (r *port) local() netip.Addr {
	switch {
	case !r.address.Bind.IsUnspecified():
		return r.address.Bind
	case r.address.Bind.Is4():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// ReadFrom returns a packet of a peer, until the relay is closed. Errors of single packets (ICMP) are none of the relay's.
func (r *port) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := r.PacketConn.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			r.end()
			return 0, nil, err
		}
		u, ok := from.(*net.UDPAddr)
		if err != nil || !ok {
			time.Sleep(time.Millisecond) // an error that stays must not take a processor
			continue
		}
		source := netip.AddrPortFrom(addrOf(u.IP), uint16(u.Port))
		sibling := netip.AddrPortFrom(r.public.Addr(), source.Port())
		switch {
		case source.Addr() == r.local() && r.ports.isOpen(sibling):
			source = sibling
		case r.ports.peers.portsOnly(source.Addr()):
			continue
		}
		r.ports.count.received.Add(uint64(n))
		return n, net.UDPAddrFromAddrPort(source), nil
	}
}

// LocalAddr is where peers find the relay.
func (r *port) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(r.public) }

// Close closes the relay. It fails never: pion/turn leaves what remains open when one fails.
func (r *port) Close() error {
	r.ports.forget(r)
	_ = r.PacketConn.Close()
	return nil
}

// end is the last thing that the goroutine of this relay asks for.
func (r *port) end() {
	r.ended.Do(func() {
		r.ports.forget(r)
		r.ports.release(r.user)
	})
}

package relay

import (
	"net"
	"net/netip"
	"time"
)

// NAT is what a relay lets a client learn about the NAT in front of it, in the words of RFC 4787. The relay's own address is a second
// port to talk with, at the address of the server: so ports can be told apart, and addresses cannot.
type NAT struct {
	// None: others see the address that our socket has.
	None bool
	// PerPort: another port of the same server sees us at another port: a symmetric NAT (address- and port-dependent mapping). Nil if
	// that could not be found out.
	PerPort *bool
	// OpenPorts: what comes from another port of a server that we have talked with gets in: filtering does not look at ports. Nil if
	// that could not be found out.
	OpenPorts *bool
	// Hairpin: a packet to our own outside address comes back in. Nil if that could not be found out.
	Hairpin *bool
}

// sendings is how often each packet is sent.
const sendings = 3

// examine has the relay send to us, and sends to the relay. The order matters: what we have sent to gets in.
func examine(f *Finding, socket *tap, relayed net.PacketConn, wait time.Duration) *NAT {
	n := &NAT{None: f.Mapped == f.Local}
	at := net.UDPAddrFromAddrPort(f.Mapped)
	from, open := firstOf(wait, func() bool {
		_, err := relayed.WriteTo(socket.mark[:], at)
		return err == nil // otherwise it does not relay to where we are, say because that is a private address
	}, socket.seen)
	open = open && from == f.Relayed
	seen := make(chan netip.AddrPort, sendings)
	go func() { // ends when relayed is closed
		defer close(seen)
		buffer := make([]byte, 64)
		for {
			_, from, err := relayed.ReadFrom(buffer)
			if err != nil {
				return
			}
			select {
			case seen <- addrPortOf(from):
			default:
			}
		}
	}()
	to := net.UDPAddrFromAddrPort(f.Relayed)
	if from, ok := firstOf(wait, func() bool { return sent(socket.WriteTo(socket.mark[:], to)) }, seen); ok {
		other := from != f.Mapped
		n.PerPort, n.OpenPorts = &other, &open
	}
	if open {
		n.OpenPorts = &open
	}
	if !n.None {
		n.Hairpin = hairpin(socket, at, wait)
	}
	_ = relayed.Close()
	for range seen { // until the goroutine has ended
	}
	return n
}

// hairpin sends to the outside address from another socket.
func hairpin(socket *tap, at *net.UDPAddr, wait time.Duration) *bool {
	local, ok := socket.LocalAddr().(*net.UDPAddr)
	if !ok {
		return nil
	}
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Zone: local.Zone})
	if err != nil {
		return nil
	}
	defer other.Close()
	_, ok = firstOf(wait, func() bool { return sent(other.WriteTo(socket.mark[:], at)) }, socket.seen)
	return &ok
}

func sent(_ int, err error) bool { return err == nil }

// firstOf sends until something is seen, and returns what.
func firstOf(wait time.Duration, send func() bool, seen <-chan netip.AddrPort) (from netip.AddrPort, ok bool) {
	for range sendings {
		if !send() {
			return from, false
		}
		timeout := time.NewTimer(wait)
		select {
		case from, ok = <-seen:
			timeout.Stop()
			return from, ok
		case <-timeout.C:
		}
	}
	return from, false
}

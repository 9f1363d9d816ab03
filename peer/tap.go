package peer

import (
	"net"
	"net/netip"

	"github.com/pion/transport/v4"
)

// A Tap sees what goes over the sockets of a call, encrypted as it is on the
// wire. Its methods are called from many goroutines, must not wait, and must not
// keep data. TCP that Pion dials by itself to a candidate is not seen, nor TLS to
// a TURN server.
type Tap interface {
	// Datagram is one of UDP. The local address has no IP where the socket
	// listens on all.
	Datagram(out bool, local, remote netip.AddrPort, data []byte)
	// Segment is a piece of a TCP stream.
	Segment(out bool, local, remote netip.AddrPort, data []byte)
}

// tappedNet is the host's network with a tap.
type tappedNet struct {
	*bufferedNet
	tap Tap
}

// ListenUDP implements transport.Net.
func (n *tappedNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.bufferedNet.ListenUDP(network, local)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil && !isMulticast(local) {
		return tapped(udp, n.tap), nil
	}
	return conn, err
}

const mdnsPort = 5353

// isMulticast tells if a socket is multicast DNS's, which is read in a way that needs it bare.
func isMulticast(local *net.UDPAddr) bool {
	return local != nil && (local.IP.IsMulticast() || local.Port == mdnsPort)
}

// ListenPacket implements transport.Net.
func (n *tappedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.bufferedNet.ListenPacket(network, address)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil {
		return tapped(udp, n.tap), nil
	}
	return conn, err
}

// tappedUDP is a socket with a tap, in all the ways in which Pion reads and
// writes one.
type tappedUDP struct {
	*net.UDPConn
	tap   Tap
	local netip.AddrPort
}

func tapped(conn *net.UDPConn, tap Tap) *tappedUDP {
	return &tappedUDP{conn, tap, addrPort(conn.LocalAddr())}
}

// addrPort is an address of a socket, IPv4 as such.
func addrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		p = a.AddrPort()
	case *net.TCPAddr:
		p = a.AddrPort()
	}
	return unmapped(p)
}

func unmapped(p netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}

func (c *tappedUDP) in(data []byte, from netip.AddrPort, err error) {
	if err == nil {
		c.tap.Datagram(false, c.local, unmapped(from), data)
	}
}

// out tells of a datagram before it goes: after, the answer might be told first.
func (c *tappedUDP) out(data []byte, to netip.AddrPort) {
	c.tap.Datagram(true, c.local, unmapped(to), data)
}

func (c *tappedUDP) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.UDPConn.ReadFrom(p)
	c.in(p[:max(n, 0)], addrPort(from), err)
	return n, from, err
}

func (c *tappedUDP) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.UDPConn.ReadFromUDP(p)
	if err == nil {
		c.in(p[:n], addrPort(from), nil)
	}
	return n, from, err
}

func (c *tappedUDP) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	n, from, err := c.UDPConn.ReadFromUDPAddrPort(p)
	c.in(p[:max(n, 0)], from, err)
	return n, from, err
}

func (c *tappedUDP) WriteTo(p []byte, to net.Addr) (int, error) {
	c.out(p, addrPort(to))
	return c.UDPConn.WriteTo(p, to)
}

func (c *tappedUDP) WriteToUDP(p []byte, to *net.UDPAddr) (int, error) {
	c.out(p, addrPort(to))
	return c.UDPConn.WriteToUDP(p, to)
}

func (c *tappedUDP) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	c.out(p, to)
	return c.UDPConn.WriteToUDPAddrPort(p, to)
}

// tappedTCP is a stream with a tap.
type tappedTCP struct {
	transport.TCPConn
	tap           Tap
	local, remote netip.AddrPort
}

// tappedConn taps a stream; a nil tap leaves it as it is.
func tappedConn(conn net.Conn, tap Tap) net.Conn {
	if tap == nil {
		return conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &tappedTCP{tcp, tap, addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())}
	}
	return conn
}

func (c *tappedTCP) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 {
		c.tap.Segment(false, c.local, c.remote, p[:n])
	}
	return n, err
}

func (c *tappedTCP) Write(p []byte) (int, error) {
	c.tap.Segment(true, c.local, c.remote, p)
	return c.TCPConn.Write(p)
}

// tappedListener taps what it accepts.
type tappedListener struct {
	net.Listener
	tap Tap
}

func (l tappedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tappedConn(conn, l.tap), nil
}

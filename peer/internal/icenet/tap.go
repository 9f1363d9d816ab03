package icenet

import (
	"net"
	"net/netip"

	"github.com/pion/transport/v4"

	"parley/peer/internal/netaddr"
)

// Tap sees the packets of sockets. Its methods are called from many goroutines, must not wait and
// must not keep data.
type Tap interface {
	// Datagram handles a UDP datagram. local has no IP if the socket is bound to all addresses.
	Datagram(out bool, local, remote netip.AddrPort, data []byte)
	// Segment handles a piece of a TCP stream.
	Segment(out bool, local, remote netip.AddrPort, data []byte)
}

// tappedNet is the host's network with a tap.
type tappedNet struct {
	*hostNet
	tap Tap
}

// ListenUDP implements transport.Net.
func (n *tappedNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.hostNet.listenUDP(network, local)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil && !isMDNS(local) {
		return tapped(udp, n.tap), nil
	}
	return conn, err
}

const mdnsPort = 5353

// isMDNS reports whether a socket is that of multicast DNS, which Pion needs unwrapped.
func isMDNS(local *net.UDPAddr) bool {
	return local != nil && (local.IP.IsMulticast() || local.Port == mdnsPort)
}

// ListenPacket implements transport.Net.
func (n *tappedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.hostNet.ListenPacket(network, address)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil {
		return tapped(udp, n.tap), nil
	}
	return conn, err
}

// tappedUDP is a UDP socket with a tap. It taps all methods by which Pion reads and writes.
type tappedUDP struct {
	*net.UDPConn
	tap   Tap
	local netip.AddrPort
}

func tapped(conn *net.UDPConn, tap Tap) *tappedUDP {
	return &tappedUDP{conn, tap, netaddr.AddrPort(conn.LocalAddr())}
}

func (c *tappedUDP) in(data []byte, from netip.AddrPort, err error) {
	if err == nil {
		c.tap.Datagram(false, c.local, netaddr.Unmap(from), data)
	}
}

// out taps a datagram before it is sent: afterwards, the response might be tapped first.
func (c *tappedUDP) out(data []byte, to netip.AddrPort) {
	c.tap.Datagram(true, c.local, netaddr.Unmap(to), data)
}

func (c *tappedUDP) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.UDPConn.ReadFrom(p)
	c.in(p[:max(n, 0)], netaddr.AddrPort(from), err)
	return n, from, err
}

func (c *tappedUDP) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.UDPConn.ReadFromUDP(p)
	if err == nil {
		c.in(p[:n], netaddr.AddrPort(from), nil)
	}
	return n, from, err
}

func (c *tappedUDP) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	n, from, err := c.UDPConn.ReadFromUDPAddrPort(p)
	c.in(p[:max(n, 0)], from, err)
	return n, from, err
}

func (c *tappedUDP) WriteTo(p []byte, to net.Addr) (int, error) {
	c.out(p, netaddr.AddrPort(to))
	return c.UDPConn.WriteTo(p, to)
}

func (c *tappedUDP) WriteToUDP(p []byte, to *net.UDPAddr) (int, error) {
	c.out(p, netaddr.AddrPort(to))
	return c.UDPConn.WriteToUDP(p, to)
}

func (c *tappedUDP) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	c.out(p, to)
	return c.UDPConn.WriteToUDPAddrPort(p, to)
}

// tappedTCP is a TCP connection with a tap.
type tappedTCP struct {
	transport.TCPConn
	tap           Tap
	local, remote netip.AddrPort
}

// tappedConn returns a TCP connection with a tap, or conn if tap is nil.
func tappedConn(conn net.Conn, tap Tap) net.Conn {
	if tap == nil {
		return conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &tappedTCP{tcp, tap, netaddr.AddrPort(conn.LocalAddr()), netaddr.AddrPort(conn.RemoteAddr())}
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

// tappedListener taps the connections that it accepts.
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

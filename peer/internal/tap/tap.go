// Package tap shows the packets of sockets to an observer, such as a capture.
package tap

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

// UDP returns a UDP socket with a tap. It closes conn when it is closed.
func UDP(conn *net.UDPConn, tap Tap) transport.UDPConn {
	return &udpConn{conn, tap, netaddr.AddrPort(conn.LocalAddr())}
}

// udpConn is a UDP socket with a tap. It taps all methods by which Pion reads and writes.
type udpConn struct {
	*net.UDPConn
	tap   Tap
	local netip.AddrPort
}

// in taps a datagram that was received, unless there was an error.
func (c *udpConn) in(data []byte, from netip.AddrPort, err error) {
	if err == nil {
		c.tap.Datagram(false, c.local, netaddr.Unmap(from), data)
	}
}

// out taps a datagram before it is sent: afterwards, the response might be tapped first.
func (c *udpConn) out(data []byte, to netip.AddrPort) {
	c.tap.Datagram(true, c.local, netaddr.Unmap(to), data)
}

func (c *udpConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.UDPConn.ReadFrom(p)
	c.in(p[:max(n, 0)], netaddr.AddrPort(from), err)
	return n, from, err
}

func (c *udpConn) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.UDPConn.ReadFromUDP(p)
	if err == nil {
		c.in(p[:n], netaddr.AddrPort(from), nil)
	}
	return n, from, err
}

func (c *udpConn) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	n, from, err := c.UDPConn.ReadFromUDPAddrPort(p)
	c.in(p[:max(n, 0)], from, err)
	return n, from, err
}

func (c *udpConn) WriteTo(p []byte, to net.Addr) (int, error) {
	c.out(p, netaddr.AddrPort(to))
	return c.UDPConn.WriteTo(p, to)
}

func (c *udpConn) WriteToUDP(p []byte, to *net.UDPAddr) (int, error) {
	c.out(p, netaddr.AddrPort(to))
	return c.UDPConn.WriteToUDP(p, to)
}

func (c *udpConn) WriteToUDPAddrPort(p []byte, to netip.AddrPort) (int, error) {
	c.out(p, to)
	return c.UDPConn.WriteToUDPAddrPort(p, to)
}

// TCP returns a TCP connection with a tap, or conn if tap is nil. It closes conn when it is closed.
func TCP(conn net.Conn, tap Tap) net.Conn {
	if tap == nil {
		return conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &tcpConn{tcp, tap, netaddr.AddrPort(conn.LocalAddr()), netaddr.AddrPort(conn.RemoteAddr())}
	}
	return conn
}

// tcpConn is a TCP connection with a tap.
type tcpConn struct {
	transport.TCPConn
	tap           Tap
	local, remote netip.AddrPort
}

func (c *tcpConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 {
		c.tap.Segment(false, c.local, c.remote, p[:n])
	}
	return n, err
}

func (c *tcpConn) Write(p []byte) (int, error) {
	c.tap.Segment(true, c.local, c.remote, p)
	return c.TCPConn.Write(p)
}

// Listener returns a TCP listener that taps the connections that it accepts, or l if tap is nil.
func Listener(l net.Listener, tap Tap) net.Listener {
	if tap == nil {
		return l
	}
	return listener{l, tap}
}

type listener struct {
	net.Listener
	tap Tap
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return TCP(conn, l.tap), nil
}

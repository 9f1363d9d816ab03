// Package netem emulates a wide area network on UDP sockets, with the properties and words of
// tc-netem(8) and without its need for root.
package netem

import (
	"bytes"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/deadline"
)

// An Emulator applies a Config to both directions of the UDP sockets of a [transport.Net]. It does
// not touch TCP, multicast DNS or DTLS to a TURN server. Several calls may share an Emulator and so
// its rate. The caller closes it after the last of them.
type Emulator struct{ outbound, inbound *Link }

// NewEmulator starts an emulator. The seed of the inbound direction is that of the Config plus one,
// so that the directions differ.
func NewEmulator(c Config) *Emulator {
	return &Emulator{NewLink(c, nil), NewLink(inboundConfig(c), nil)}
}

func inboundConfig(c Config) Config {
	c.Seed++
	return c
}

// SetConfig changes the properties for packets sent or received from now on, see [Link.SetConfig].
func (e *Emulator) SetConfig(c Config) {
	e.outbound.SetConfig(c)
	e.inbound.SetConfig(inboundConfig(c))
}

// Counts returns the packet counts of both directions.
func (e *Emulator) Counts() (outbound, inbound Counts) {
	return e.outbound.Counts(), e.inbound.Counts()
}

// Close stops the emulator and discards the queued packets.
func (e *Emulator) Close() error {
	e.outbound.Close()
	e.inbound.Close()
	return nil
}

// Net returns n with emulated UDP sockets. A nil Emulator returns n itself.
func (e *Emulator) Net(n transport.Net) transport.Net {
	if e == nil {
		return n
	}
	return &emulatedNet{n, e}
}

type emulatedNet struct {
	transport.Net
	emulator *Emulator
}

// ListenUDP implements transport.Net.
func (n *emulatedNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err != nil || isMDNS(local) {
		return conn, err
	}
	return newUDPConn(conn, n.emulator), nil
}

// ListenPacket implements transport.Net.
func (n *emulatedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.Net.ListenPacket(network, address)
	if udp, ok := conn.(transport.UDPConn); ok && err == nil {
		return newUDPConn(udp, n.emulator), nil
	}
	return conn, err
}

// isMDNS reports whether a socket is one of multicast DNS (RFC 6762), which needs methods that
// transport.UDPConn does not have.
func isMDNS(local *net.UDPAddr) bool {
	return local != nil && (local.IP.IsMulticast() || local.Port == 5353)
}

// receiveBuffer is the number of delivered packets that a socket holds for its reader. Further ones
// are dropped, as by a kernel.
const receiveBuffer = 4096

// udpConn is an emulated socket.
type udpConn struct {
	transport.UDPConn
	emulator     *Emulator
	received     chan datagram
	readDeadline *deadline.Deadline
	closed       chan struct{}
	closeOnce    sync.Once
	reading      sync.WaitGroup
}

type datagram struct {
	data []byte
	from net.Addr
}

func newUDPConn(conn transport.UDPConn, e *Emulator) *udpConn {
	c := &udpConn{UDPConn: conn, emulator: e, received: make(chan datagram, receiveBuffer), readDeadline: deadline.New(), closed: make(chan struct{})}
	c.reading.Go(c.readLoop)
	return c
}

// readLoop passes received packets to the inbound link until the socket is closed.
func (c *udpConn) readLoop() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := c.UDPConn.ReadFrom(buffer)
		if err != nil {
			select {
			case <-c.closed:
				return
			case <-time.After(10 * time.Millisecond): // ICMP error for an earlier packet, on some systems
				continue
			}
		}
		packet := buffer[:n]
		c.emulator.inbound.send(kindOf(packet), packet, func(b []byte) {
			select {
			case c.received <- datagram{b, from}:
			case <-c.closed:
			default:
			}
		})
	}
}

// Close implements net.PacketConn. It waits for readLoop.
func (c *udpConn) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	err := c.UDPConn.Close()
	c.reading.Wait()
	return err
}

// ReadFrom implements net.PacketConn.
func (c *udpConn) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case <-c.readDeadline.Done():
		return 0, nil, c.opError("read", os.ErrDeadlineExceeded)
	case <-c.closed:
		return 0, nil, c.opError("read", net.ErrClosed)
	default:
	}
	select {
	case d := <-c.received:
		return copy(p, d.data), d.from, nil
	case <-c.readDeadline.Done():
		return 0, nil, c.opError("read", os.ErrDeadlineExceeded)
	case <-c.closed:
		return 0, nil, c.opError("read", net.ErrClosed)
	}
}

func (c *udpConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
}

// ReadFromUDP implements transport.UDPConn.
func (c *udpConn) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFrom(p)
	udp, _ := from.(*net.UDPAddr)
	return n, udp, err
}

// Read implements net.Conn.
func (c *udpConn) Read(p []byte) (int, error) {
	n, _, err := c.ReadFrom(p)
	return n, err
}

// ReadMsgUDP implements transport.UDPConn. It returns no out-of-band data.
func (c *udpConn) ReadMsgUDP(p, _ []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	n, from, err = c.ReadFromUDP(p)
	return n, 0, 0, from, err
}

// SetReadDeadline implements net.PacketConn.
func (c *udpConn) SetReadDeadline(t time.Time) error {
	c.readDeadline.Set(t)
	return nil
}

// SetDeadline implements net.PacketConn.
func (c *udpConn) SetDeadline(t time.Time) error {
	c.readDeadline.Set(t)
	return c.SetWriteDeadline(t)
}

// WriteTo implements net.PacketConn. It reports no error for a packet that is dropped later.
func (c *udpConn) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-c.closed:
		return 0, c.opError("write", net.ErrClosed)
	default:
	}
	c.emulator.outbound.send(kindOf(p), p, func(b []byte) { _, _ = c.UDPConn.WriteTo(b, to) })
	return len(p), nil
}

// WriteToUDP implements transport.UDPConn.
func (c *udpConn) WriteToUDP(p []byte, to *net.UDPAddr) (int, error) {
	kept := *to
	kept.IP = bytes.Clone(to.IP)
	return c.WriteTo(p, &kept)
}

// WriteMsgUDP implements transport.UDPConn. It ignores out-of-band data.
func (c *udpConn) WriteMsgUDP(p, _ []byte, to *net.UDPAddr) (n, oobn int, err error) {
	n, err = c.WriteToUDP(p, to)
	return n, 0, err
}

package peer

import (
	"bytes"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/transport/v4"
	limit "github.com/pion/transport/v4/deadline"

	"parley/peer/road"
)

// An Impairment makes a call's own UDP sockets a bad network, in both directions and without root. Each kind of packets
// meets with the fates of its own that the seed draws, see [road.Kind]. TCP is not touched, nor multicast DNS, nor DTLS
// to a TURN server. It may serve several calls, which share its rate then; Close it after the last of them.
type Impairment struct{ out, in *road.Link }

// NewImpairment begins an impairment. The way in has the next seed: the two ways are not the same.
func NewImpairment(w road.Weather) *Impairment {
	back := w
	back.Seed++
	return &Impairment{road.NewLink(w, nil), road.NewLink(back, nil)}
}

// Become changes it, for packets that are sent or come from now on; outages are counted from then.
func (i *Impairment) Become(w road.Weather) {
	i.out.Become(w)
	w.Seed++
	i.in.Become(w)
}

// Counts is what has become of packets, out and in.
func (i *Impairment) Counts() (out, in road.Counts) { return i.out.Counts(), i.in.Counts() }

// Close ends it. What is under way is lost.
func (i *Impairment) Close() error {
	i.out.Close()
	i.in.Close()
	return nil
}

// impaired puts an impairment, if there is one, before a network.
func impaired(n transport.Net, i *Impairment) transport.Net {
	if i == nil {
		return n
	}
	return &impairedNet{n, i}
}

type impairedNet struct {
	transport.Net
	impairment *Impairment
}

// ListenUDP implements transport.Net.
func (n *impairedNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err != nil || isMulticast(local) {
		return conn, err
	}
	return newImpairedUDP(conn, n.impairment), nil
}

// ListenPacket implements transport.Net.
func (n *impairedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.Net.ListenPacket(network, address)
	if udp, ok := conn.(transport.UDPConn); ok && err == nil {
		return newImpairedUDP(udp, n.impairment), nil
	}
	return conn, err
}

// mostArrived is how many packets wait to be read, more are lost as in a full buffer of the kernel.
const mostArrived = 4096

// impairedUDP is a socket behind an impairment.
type impairedUDP struct {
	transport.UDPConn
	impairment *Impairment
	arrived    chan datagram
	until      *limit.Deadline // of reading
	done       chan struct{}
	once       sync.Once
	reading    sync.WaitGroup
}

type datagram struct {
	data []byte
	from net.Addr
}

func newImpairedUDP(conn transport.UDPConn, i *Impairment) *impairedUDP {
	c := &impairedUDP{UDPConn: conn, impairment: i, arrived: make(chan datagram, mostArrived), until: limit.New(), done: make(chan struct{})}
	c.reading.Go(c.read)
	return c
}

// read puts what comes on its way, until the socket is closed.
func (c *impairedUDP) read() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := c.UDPConn.ReadFrom(buffer)
		if err != nil {
			select {
			case <-c.done:
				return
			case <-time.After(10 * time.Millisecond): // an ICMP error of an earlier packet, on some systems
				continue
			}
		}
		packet := buffer[:n]
		c.impairment.in.Carry(road.Kind(packet), packet, func(b []byte) {
			select {
			case c.arrived <- datagram{b, from}:
			case <-c.done:
			default:
			}
		})
	}
}

// Close implements net.PacketConn. It returns when nothing is read any more.
func (c *impairedUDP) Close() error {
	c.once.Do(func() { close(c.done) })
	err := c.UDPConn.Close()
	c.reading.Wait()
	return err
}

// ReadFrom implements net.PacketConn.
func (c *impairedUDP) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case <-c.until.Done():
		return 0, nil, c.failed("read", os.ErrDeadlineExceeded)
	case <-c.done:
		return 0, nil, c.failed("read", net.ErrClosed)
	default:
	}
	select {
	case d := <-c.arrived:
		return copy(p, d.data), d.from, nil
	case <-c.until.Done():
		return 0, nil, c.failed("read", os.ErrDeadlineExceeded)
	case <-c.done:
		return 0, nil, c.failed("read", net.ErrClosed)
	}
}

func (c *impairedUDP) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
}

// ReadFromUDP implements transport.UDPConn.
func (c *impairedUDP) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFrom(p)
	udp, _ := from.(*net.UDPAddr)
	return n, udp, err
}

// Read implements net.Conn.
func (c *impairedUDP) Read(p []byte) (int, error) {
	n, _, err := c.ReadFrom(p)
	return n, err
}

// ReadMsgUDP implements transport.UDPConn, without what is out of band.
func (c *impairedUDP) ReadMsgUDP(p, _ []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	n, from, err = c.ReadFromUDP(p)
	return n, 0, 0, from, err
}

// SetReadDeadline implements net.PacketConn.
func (c *impairedUDP) SetReadDeadline(t time.Time) error {
	c.until.Set(t)
	return nil
}

// SetDeadline implements net.PacketConn.
func (c *impairedUDP) SetDeadline(t time.Time) error {
	c.until.Set(t)
	return c.SetWriteDeadline(t)
}

// WriteTo implements net.PacketConn. That a packet was lost later is nobody's error, as on any network.
func (c *impairedUDP) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-c.done:
		return 0, c.failed("write", net.ErrClosed)
	default:
	}
	c.impairment.out.Carry(road.Kind(p), p, func(b []byte) { _, _ = c.UDPConn.WriteTo(b, to) })
	return len(p), nil
}

// WriteToUDP implements transport.UDPConn.
func (c *impairedUDP) WriteToUDP(p []byte, to *net.UDPAddr) (int, error) {
	kept := *to
	kept.IP = bytes.Clone(to.IP)
	return c.WriteTo(p, &kept)
}

// WriteMsgUDP implements transport.UDPConn, without what is out of band.
func (c *impairedUDP) WriteMsgUDP(p, _ []byte, to *net.UDPAddr) (n, oobn int, err error) {
	n, err = c.WriteToUDP(p, to)
	return n, 0, err
}

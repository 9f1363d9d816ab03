package turnclient

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// stream is a packetConn over TCP or TLS. Reads return the byte stream, which Pion splits into
// messages. Writes do not wait: Pion's ICE agent writes, and could find no other path while it
// waits for a dead connection, which the kernel retries for a quarter of an hour.
type stream struct {
	socket  *packetConn
	dial    dialFunc
	out     chan []byte   // messages to write
	closing chan struct{} // closed by Close
	linger  time.Duration // how long Close writes queued messages; one of them ends the allocation
	once    sync.Once
	writing sync.WaitGroup

	mu   sync.Mutex // guards conn
	conn net.Conn   // to the server or its alternate

	// The fields below belong to the reader.
	reader    *bufio.Reader
	allocated bool   // messages are no longer inspected
	message   []byte // latest inspected message
	rest      []byte // unread part of message
}

// dialFunc connects to an alternate server. domain is that of its certificate, empty for that of
// the first server.
type dialFunc func(server netip.AddrPort, domain string) (net.Conn, error)

const (
	maxResponse = 2048 // bytes of an inspected message
	maxQueue    = 1024 // messages waiting to be written; further ones are dropped
	lingerTime  = 200 * time.Millisecond
)

// newStream returns a connection to a TURN server. Reads end when ctx is done.
func newStream(ctx context.Context, conn net.Conn, passwords func(user string) []string, dial dialFunc) *stream {
	s := &stream{
		conn: conn, dial: dial, reader: bufio.NewReader(conn), message: make([]byte, maxResponse),
		out: make(chan []byte, maxQueue), closing: make(chan struct{}), linger: lingerTime,
	}
	s.socket = &packetConn{PacketConn: messages{s}, passwords: passwords, redirect: s.redirect}
	s.socket.abortWith(ctx)
	s.writing.Go(s.write)
	return s
}

// current returns the connection to the server, or to its alternate.
func (s *stream) current() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// redirect replaces the connection by one to an alternate server.
func (s *stream) redirect(_ net.Addr, to netip.AddrPort, domain string) error {
	if s.dial == nil {
		return errors.ErrUnsupported
	}
	conn, err := s.dial(to, domain)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		_ = conn.Close()
		return net.ErrClosed
	default:
	}
	_ = s.conn.Close()
	s.conn = conn
	s.reader.Reset(conn)
	if s.socket.ctx.Err() != nil {
		_ = conn.SetReadDeadline(time.Now())
	}
	return nil
}

// write writes queued messages until the stream is closed or broken. Read returns the error of the
// latter.
func (s *stream) write() {
	for {
		var p []byte
		select {
		case p = <-s.out:
		default:
			select {
			case p = <-s.out:
			case <-s.closing:
				return
			}
		}
		for {
			conn := s.current()
			_, err := conn.Write(p)
			if err == nil {
				break
			}
			if conn == s.current() {
				_ = conn.Close()
				return
			}
		}
	}
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.socket.stop()
	s.mu.Lock()
	s.once.Do(func() { close(s.closing) })
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.linger))
	s.mu.Unlock()
	s.writing.Wait()
	return s.current().Close()
}

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return s.socket.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return s.current().RemoteAddr() }

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error { return s.current().SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error { return s.current().SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn. It has no effect as Write does not wait.
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

// Write implements net.Conn. Pion writes whole messages.
func (s *stream) Write(p []byte) (int, error) { return s.socket.WriteTo(p, s.RemoteAddr()) }

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 && s.allocated {
		return s.reader.Read(p)
	}
	if len(s.rest) == 0 {
		n, _, err := s.socket.ReadFrom(s.message)
		if err != nil {
			return 0, err
		}
		s.rest, s.allocated = s.message[:n], isAllocate(s.message[:n], stun.ClassSuccessResponse)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// messages reads and writes the STUN messages of a stream (RFC 8489 section 6.2.2).
type messages struct{ *stream }

// LocalAddr implements net.PacketConn.
func (m messages) LocalAddr() net.Addr { return m.current().LocalAddr() }

// ReadFrom implements net.PacketConn.
func (m messages) ReadFrom(p []byte) (int, net.Addr, error) {
	if _, err := io.ReadFull(m.reader, p[:stunHeader]); err != nil {
		return 0, nil, err
	}
	end := stunHeader + int(binary.BigEndian.Uint16(p[2:]))
	if p[0]>>6 != 0 || end > len(p) {
		return 0, nil, errors.New("invalid data from the TURN server: want a STUN message")
	}
	_, err := io.ReadFull(m.reader, p[stunHeader:end])
	return end, m.RemoteAddr(), err
}

// WriteTo implements net.PacketConn.
func (m messages) WriteTo(p []byte, _ net.Addr) (int, error) {
	select {
	case <-m.closing:
		return 0, net.ErrClosed
	default:
	}
	select {
	case m.out <- slices.Clone(p):
	default:
	}
	return len(p), nil
}

package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// relayStream is a relaySocket over TCP or TLS. Pion takes the stream apart for
// itself, and gets it whole. Writing does not wait: Pion's ICE agent writes, and
// would find no other path as long as it waits for a connection that leads
// nowhere, of which the kernel thinks for a quarter of an hour that it comes back.
type relayStream struct {
	net.Conn
	socket  *relaySocket
	reader  *bufio.Reader
	out     chan []byte   // messages to be written
	closing chan struct{} // closed by Close
	last    time.Duration // which leaves what waits as long: it gives the relay back
	once    sync.Once
	writing sync.WaitGroup

	// The rest belongs to who reads.
	open    bool   // there is a relay: what comes is looked at no longer
	message []byte // the latest before that
	rest    []byte // of it, not read yet
}

const (
	longestAnswer = 2048 // bytes of a message before there is a relay
	mostWritten   = 1024 // messages that wait to be written, further ones are lost as on a full link
	lastWords     = 200 * time.Millisecond
)

func newRelayStream(conn net.Conn, secret func(user string) []string) *relayStream {
	s := &relayStream{
		Conn: conn, reader: bufio.NewReader(conn), message: make([]byte, longestAnswer),
		out: make(chan []byte, mostWritten), closing: make(chan struct{}), last: lastWords,
	}
	s.socket = newRelaySocket(messages{s}, secret)
	s.writing.Go(s.write)
	return s
}

// write writes what is to be written, until the stream is closed or broken. Who
// reads hears of the latter.
func (s *relayStream) write() {
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
		if _, err := s.Conn.Write(p); err != nil {
			_ = s.Conn.Close()
			return
		}
	}
}

// Close implements net.Conn.
func (s *relayStream) Close() error {
	s.once.Do(func() { close(s.closing) })
	_ = s.SetWriteDeadline(time.Now().Add(s.last))
	s.writing.Wait()
	return s.Conn.Close()
}

// LocalAddr implements net.Conn.
func (s *relayStream) LocalAddr() net.Addr { return s.socket.LocalAddr() }

// Write implements net.Conn. Pion writes whole messages.
func (s *relayStream) Write(p []byte) (int, error) { return s.socket.WriteTo(p, s.RemoteAddr()) }

// Read implements net.Conn.
func (s *relayStream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 && s.open {
		return s.reader.Read(p)
	}
	if len(s.rest) == 0 {
		n, _, err := s.socket.ReadFrom(s.message)
		if err != nil {
			return 0, err
		}
		s.rest, s.open = s.message[:n], isAllocate(s.message[:n], stun.ClassSuccessResponse)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// messages are the STUN messages of a stream (RFC 8489 §6.2.2).
type messages struct{ *relayStream }

// LocalAddr implements net.PacketConn.
func (m messages) LocalAddr() net.Addr { return m.Conn.LocalAddr() }

// ReadFrom implements net.PacketConn.
func (m messages) ReadFrom(p []byte) (int, net.Addr, error) {
	if _, err := io.ReadFull(m.reader, p[:stunHeader]); err != nil {
		return 0, nil, err
	}
	end := stunHeader + int(binary.BigEndian.Uint16(p[2:]))
	if p[0]>>6 != 0 || end > len(p) {
		return 0, nil, errors.New("what the TURN server says is no STUN message")
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

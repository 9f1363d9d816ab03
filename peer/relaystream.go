package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/pion/stun/v4"
)

// relayStream is a relaySocket over TCP or TLS. Pion takes the stream apart for
// itself, and gets it whole.
type relayStream struct {
	net.Conn
	socket *relaySocket
	reader *bufio.Reader

	// The rest belongs to who reads.
	open    bool   // there is a relay: what comes is looked at no longer
	message []byte // the latest before that
	rest    []byte // of it, not read yet
}

// longestAnswer is how long a message may be before there is a relay, in bytes.
const longestAnswer = 2048

func newRelayStream(conn net.Conn, secret func(user string) []string) *relayStream {
	reader := bufio.NewReader(conn)
	return &relayStream{
		Conn: conn, reader: reader, socket: newRelaySocket(messages{conn, reader}, secret), message: make([]byte, longestAnswer),
	}
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
type messages struct {
	net.Conn
	reader *bufio.Reader
}

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
func (m messages) WriteTo(p []byte, _ net.Addr) (int, error) { return m.Write(p) }

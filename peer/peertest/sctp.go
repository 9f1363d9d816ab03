package peertest

import (
	"encoding/binary"
	"hash/crc32"
	"net"
	"sync"

	"github.com/pion/sctp"
)

// An Association is SCTP with the offerer, which can be lied in.
type Association struct {
	*sctp.Association
	wire *tapped
}

// tapped learns from the packets of an association what a forged one needs.
type tapped struct {
	net.Conn
	mu  sync.Mutex // protects following
	tag uint32     // verification tag of what goes out
	tsn uint32     // of the latest DATA chunk that went out
}

// Associate makes an association as a peer in good standing would.
func (s *Session) Associate(o ...sctp.ClientOption) (*Association, error) {
	wire := &tapped{Conn: s.Conn}
	a, err := sctp.ClientWithOptions(append([]sctp.ClientOption{sctp.WithNetConn(wire)}, o...)...)
	if err != nil {
		return nil, err
	}
	return &Association{a, wire}, nil
}

func (t *tapped) Write(p []byte) (int, error) {
	t.mu.Lock()
	if len(p) >= 12 {
		if tag := binary.BigEndian.Uint32(p[4:]); tag != 0 {
			t.tag = tag
		}
		for rest := p[12:]; len(rest) >= 8; {
			length := int(binary.BigEndian.Uint16(rest[2:]))
			if rest[0] == ChunkData || rest[0] == 64 { // I-DATA
				t.tsn = binary.BigEndian.Uint32(rest[4:])
			}
			if next := (length + 3) &^ 3; length >= 4 && next <= len(rest) {
				rest = rest[next:]
			} else {
				break
			}
		}
	}
	t.mu.Unlock()
	return t.Conn.Write(p)
}

// Types of chunks (RFC 9260 section 3.2, RFC 3758 section 3.2, RFC 6525 section 3.1).
const (
	ChunkData             = 0
	ChunkInit             = 1
	ChunkSack             = 3
	ChunkAbort            = 6
	ChunkShutdown         = 7
	ChunkShutdownAck      = 8
	ChunkError            = 9
	ChunkCookieEcho       = 10
	ChunkShutdownComplete = 14
	ChunkReconfig         = 130
	ChunkForwardTSN       = 192
)

// Chunk is one as it goes over the wire, with its true length.
func Chunk(kind, flags byte, value ...byte) []byte {
	c := append([]byte{kind, flags, 0, 0}, value...)
	binary.BigEndian.PutUint16(c[2:], uint16(len(c)))
	for len(c)%4 != 0 {
		c = append(c, 0)
	}
	return c
}

// Packet is an SCTP packet of chunks, with the tag of the association.
func (a *Association) Packet(chunks ...[]byte) []byte {
	a.wire.mu.Lock()
	defer a.wire.mu.Unlock()
	return Packet(a.wire.tag, chunks...)
}

// TSN is that of the latest chunk of data that went out.
func (a *Association) TSN() uint32 {
	a.wire.mu.Lock()
	defer a.wire.mu.Unlock()
	return a.wire.tsn
}

// Send puts a packet on the wire past the association.
func (a *Association) Send(packet []byte) error {
	_, err := a.wire.Conn.Write(packet)
	return err
}

// Packet is an SCTP packet with its checksum (RFC 9260 section 6.8).
func Packet(tag uint32, chunks ...[]byte) []byte {
	p := make([]byte, 12)
	binary.BigEndian.PutUint16(p[0:], 5000)
	binary.BigEndian.PutUint16(p[2:], 5000)
	binary.BigEndian.PutUint32(p[4:], tag)
	for _, c := range chunks {
		p = append(p, c...)
	}
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return p
}

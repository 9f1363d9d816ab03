// Package capture writes what a call sends and receives to files for other tools.
//
//   - [Pcapng] writes packets and the keys to decrypt them, for Wireshark and tshark
//     (draft-ietf-opsawg-pcapng).
//   - [RTPDump] writes decrypted RTP packets, for rtpplay and video_replay (rtptools).
//   - [StatsDump] writes API calls, events and statistics, for rtcstats.com and viewers of
//     chrome://webrtc-internals dumps (RTCStatsDump).
//   - [Demux] distributes the packets of a port that several calls share to one Pcapng a call.
//
// All types take an io.Writer that belongs to the caller. Close flushes and returns the first error
// of all, but does not close the writer. Files of Pcapng contain keys, the others contain decrypted
// content: create them with mode 0600. All methods may be called from several goroutines.
package capture

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// Pcapng writes packets and keys to a pcapng file. It implements the Tap of package peer, which
// sees the sockets of calls.
//
// Wireshark needs keys before the packets that they decrypt. From the first packet of a DTLS
// handshake until its keys arrive, packets are held in memory: at most 2,000 of 4 MiB together, for
// at most 10 s.
type Pcapng struct {
	mu        sync.Mutex // guards following
	buffer    *bufio.Writer
	blocks    *blockWriter
	held      []packet
	heldBytes int
	heldSince time.Time // zero while no packets are held
	closed    bool
}

// Bounds of the packets that are held until the keys of a handshake arrive.
const (
	maxHeldPackets  = 2000
	maxHeldBytes    = 4 << 20
	maxHeldDuration = 10 * time.Second
)

// bufferSize is that of the buffers before files, in bytes.
const bufferSize = 64 << 10

// packet is what went over a socket: a datagram, or a segment of a stream.
type packet struct {
	at            time.Time
	stream, out   bool
	local, remote netip.AddrPort
	data          []byte
}

// NewPcapng returns a Pcapng that writes to w.
func NewPcapng(w io.Writer) *Pcapng {
	buffer := bufio.NewWriterSize(w, bufferSize)
	return &Pcapng{buffer: buffer, blocks: newBlockWriter(buffer)}
}

// Datagram writes a UDP datagram. It does not keep data.
func (p *Pcapng) Datagram(out bool, local, remote netip.AddrPort, data []byte) {
	p.add(packet{time.Now(), false, out, local, remote, data})
}

// Segment writes a piece of a TCP stream. It does not keep data.
func (p *Pcapng) Segment(out bool, local, remote netip.AddrPort, data []byte) {
	p.add(packet{time.Now(), true, out, local, remote, data})
}

// add writes a packet, or holds a copy while a handshake goes on.
func (p *Pcapng) add(k packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.heldSince.IsZero() {
		if !isHandshake(payloadOf(k)) {
			p.blocks.writePacket(k)
			return
		}
		p.heldSince = k.at
	}
	k.data = bytes.Clone(k.data)
	p.held, p.heldBytes = append(p.held, k), p.heldBytes+len(k.data)
	if len(p.held) >= maxHeldPackets || p.heldBytes >= maxHeldBytes || k.at.Sub(p.heldSince) > maxHeldDuration {
		p.writeHeld()
	}
}

// writeHeld writes the packets that are held.
func (p *Pcapng) writeHeld() {
	for _, k := range p.held {
		p.blocks.writePacket(k)
	}
	p.held, p.heldBytes, p.heldSince = nil, 0, time.Time{}
}

// KeyLog returns a writer for keys: lines of the NSS key log format, whole ones in each Write.
func (p *Pcapng) KeyLog() io.Writer { return keyLog{p} }

type keyLog struct{ p *Pcapng }

// Write writes lines of the key log, then the packets that are held. It never fails: Close returns
// what went wrong.
func (k keyLog) Write(lines []byte) (int, error) {
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	if !k.p.closed {
		k.p.blocks.writeSecrets(lines)
		k.p.writeHeld()
	}
	return len(lines), nil
}

// Close writes what is held and buffered. It returns the first error of all. Later packets and keys
// are dropped.
func (p *Pcapng) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.writeHeld()
	p.closed = true
	return cmp.Or(p.blocks.err, p.buffer.Flush())
}

// isHandshake reports whether data is a DTLS record of a handshake that is not encrypted: of epoch
// 0 (RFC 6347 section 4.1).
func isHandshake(data []byte) bool {
	const handshake, recordHeader = 22, 13
	return len(data) > recordHeader && data[0] == handshake && data[3] == 0 && data[4] == 0
}

// payloadOf returns what a packet carries between peers: what is in the framing of a stream (RFC
// 4571), and in a channel or an indication of TURN (RFC 8656), as the first byte shows (RFC 7983).
func payloadOf(k packet) []byte {
	data := k.data
	if k.stream {
		data = unframe(data)
	}
	const channelHeader = 4
	if len(data) >= channelHeader && data[0] >= 64 && data[0] <= 79 {
		length := int(binary.BigEndian.Uint16(data[2:]))
		return data[channelHeader:min(channelHeader+length, len(data))]
	}
	if m := (&stun.Message{Raw: data}); stun.IsMessage(data) && m.Decode() == nil {
		if inner, err := m.Get(stun.AttrData); err == nil {
			return inner
		}
	}
	return data
}

// unframe returns a packet without its length (RFC 4571 section 2). Who reads a stream reads the
// length apart: then data is the packet itself.
func unframe(data []byte) []byte {
	const header = 2
	if len(data) >= header && int(binary.BigEndian.Uint16(data)) == len(data)-header {
		return data[header:]
	}
	return data
}

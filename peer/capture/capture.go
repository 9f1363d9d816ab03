// Package capture writes what a call sends and receives to files for other tools.
//
//   - [Pcapng] writes packets and the keys to decrypt them, for Wireshark and tshark
//     (draft-ietf-opsawg-pcapng).
//   - [RTPDump] writes decrypted RTP packets, for rtpplay and video_replay (rtptools).
//   - [StatsDump] writes API calls, events and statistics, for rtcstats.com and viewers of
//     chrome://webrtc-internals dumps (RTCStatsDump).
//   - [Demux] distributes the packets of a port that several calls share to one Pcapng a call.
//
// All types take an io.Writer that belongs to the caller. Close flushes and returns the first error of
// all, but does not close the writer. Files of Pcapng contain keys, the others contain decrypted
// content: create them with mode 0600. All methods may be called from several goroutines.
package capture

import (
	"bufio"
	"io"
	"net/netip"
	"sync"
	"time"
)

// Pcapng writes packets and keys to a pcapng file. It implements the Tap of package peer, which sees
// the sockets of calls, and its KeyLog takes the keys.
//
// Wireshark needs keys before the packets that they decrypt. From the first packet of a DTLS handshake
// until its keys arrive, packets are held in memory: see maxHeldPackets.
type Pcapng struct {
	mu        sync.Mutex // guards following
	buffer    *bufio.Writer
	blocks    *blockWriter
	held      []func() // writes of packets, in order
	holding   bool
	heldSince time.Time
}

// Bounds of the packets that are held until the keys of a handshake arrive.
const (
	maxHeldPackets  = 2000
	maxHeldDuration = 10 * time.Second
)

// bufferSize is that of the buffers before files, in bytes.
const bufferSize = 64 << 10

// NewPcapng returns a Pcapng that writes to w.
func NewPcapng(w io.Writer) *Pcapng {
	buffer := bufio.NewWriterSize(w, bufferSize)
	return &Pcapng{buffer: buffer, blocks: newBlockWriter(buffer)}
}

// Datagram writes a UDP datagram.
func (p *Pcapng) Datagram(out bool, local, remote netip.AddrPort, data []byte) {
	from, to := local, remote
	if !out {
		from, to = remote, local
	}
	data = append([]byte{}, data...)
	p.writePacket(data, func(at time.Time) { p.blocks.writeUDP(at, from, to, data) })
}

// Segment writes a piece of a TCP stream.
func (p *Pcapng) Segment(out bool, local, remote netip.AddrPort, data []byte) {
	data = append([]byte{}, data...)
	p.writePacket(data, func(at time.Time) { p.blocks.writeTCP(at, out, local, remote, data) })
}

// writePacket writes a packet, or holds it while a handshake goes on.
func (p *Pcapng) writePacket(data []byte, write func(time.Time)) {
	const dtlsHandshake = 22 // RFC 7983 §7 and RFC 6347 §4.1
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.holding && len(data) > 13 && data[0] == dtlsHandshake && data[3] == 0 && data[4] == 0 { // epoch 0: not encrypted
		p.holding, p.heldSince = true, now
	}
	if !p.holding {
		write(now)
		return
	}
	p.held = append(p.held, func() { write(now) })
	if len(p.held) > maxHeldPackets || now.Sub(p.heldSince) > maxHeldDuration {
		p.flush()
	}
}

// flush writes the packets that are held.
func (p *Pcapng) flush() {
	for _, write := range p.held {
		write()
	}
	p.held, p.holding = nil, false
}

// KeyLog returns a writer for keys: lines of the NSS key log format, whole ones in each Write.
func (p *Pcapng) KeyLog() io.Writer { return keyLog{p} }

type keyLog struct{ p *Pcapng }

// Write writes lines of the key log, then the packets that are held. It never fails: Close returns
// what went wrong.
func (k keyLog) Write(lines []byte) (int, error) {
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	k.p.blocks.writeSecrets(lines)
	k.p.flush()
	return len(lines), nil
}

// Close writes what is held and buffered.
func (p *Pcapng) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flush()
	return firstError(p.blocks.err, p.buffer.Flush())
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

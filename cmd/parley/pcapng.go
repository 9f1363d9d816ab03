package main

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

// pcapng writes a capture as Wireshark reads it
// (draft-ietf-opsawg-pcapng): IP packets that are made up around what went over
// our sockets, and the keys to decrypt them.
type pcapng struct {
	w       io.Writer
	err     error                  // the first one; nothing is written after it
	streams map[tcpFlow]*[2]uint32 // TCP sequence numbers, ours and theirs
}

type tcpFlow struct{ local, remote netip.AddrPort }

// Block types, and the secrets type "TLS Key Log".
const (
	sectionHeader    = 0x0a0d0d0a
	interfaceBlock   = 1
	enhancedPacket   = 6
	decryptionSecret = 10
	tlsKeyLog        = 0x544c534b
	linkRaw          = 101 // IPv4 or IPv6 without anything below
)

func newPcapng(w io.Writer) *pcapng {
	p := &pcapng{w: w, streams: map[tcpFlow]*[2]uint32{}}
	le := binary.LittleEndian
	head := le.AppendUint32(nil, 0x1a2b3c4d)      // byte order
	head = le.AppendUint16(head, 1)               // version 1.0
	head = le.AppendUint16(head, 0)               //
	head = le.AppendUint64(head, ^uint64(0))      // length of the section: not known
	p.block(sectionHeader, head)                  //
	link := le.AppendUint16(nil, linkRaw)         //
	link = le.AppendUint32(append(link, 0, 0), 0) // no limit of length
	p.block(interfaceBlock, link)                 // times are in microseconds
	return p
}

// block writes one block: type, length, body padded to 32 bits, length again.
func (p *pcapng) block(kind uint32, body []byte) {
	if p.err != nil {
		return
	}
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	length := uint32(len(body) + 12)
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, length)
	b = append(b, body...)
	b = binary.LittleEndian.AppendUint32(b, length)
	_, p.err = p.w.Write(b)
}

// secrets writes lines of a key log, which must stand before the packets that
// they decrypt.
func (p *pcapng) secrets(lines []byte) {
	b := binary.LittleEndian.AppendUint32(nil, tlsKeyLog)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(lines)))
	p.block(decryptionSecret, append(b, lines...))
}

func (p *pcapng) packet(at time.Time, ip []byte) {
	micros := uint64(at.UnixMicro())
	b := binary.LittleEndian.AppendUint32(nil, 0) // the interface
	b = binary.LittleEndian.AppendUint32(b, uint32(micros>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(micros))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ip)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ip)))
	p.block(enhancedPacket, append(b, ip...))
}

// IP protocol numbers.
const (
	protocolTCP = 6
	protocolUDP = 17
)

func (p *pcapng) udp(at time.Time, from, to netip.AddrPort, data []byte) {
	b := binary.BigEndian.AppendUint16(nil, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(data)))
	b = append(b, 0, 0)
	p.packet(at, ipPacket(protocolUDP, from.Addr(), to.Addr(), append(b, data...), 6))
}

// maxSegment is how much of a TCP stream goes into one packet of the capture.
const maxSegment = 32 << 10

// tcp makes segments of a piece of a stream: nothing is lost, nor sent again.
func (p *pcapng) tcp(at time.Time, out bool, local, remote netip.AddrPort, data []byte) {
	flow := tcpFlow{local, remote}
	next := p.streams[flow]
	if next == nil {
		next = &[2]uint32{1, 1}
		p.streams[flow] = next
	}
	from, to, mine, theirs := local, remote, &next[0], &next[1]
	if !out {
		from, to, mine, theirs = remote, local, &next[1], &next[0]
	}
	for len(data) > 0 {
		piece := data[:min(len(data), maxSegment)]
		data = data[len(piece):]
		b := binary.BigEndian.AppendUint16(nil, from.Port())
		b = binary.BigEndian.AppendUint16(b, to.Port())
		b = binary.BigEndian.AppendUint32(b, *mine)
		b = binary.BigEndian.AppendUint32(b, *theirs)
		b = append(b, 5<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0) // 5 words, PSH and ACK, window
		*mine += uint32(len(piece))
		p.packet(at, ipPacket(protocolTCP, from.Addr(), to.Addr(), append(b, piece...), 16))
	}
}

// ipPacket puts an IP header before a transport's packet, whose checksum goes to
// its byte sum.
func ipPacket(protocol byte, from, to netip.Addr, body []byte, sum int) []byte {
	if from.Is4() != to.Is4() { // a socket that listens on all addresses has none of its own
		if from.IsUnspecified() {
			from = anyLike(to)
		} else {
			to = anyLike(from)
		}
	}
	a, b := from.AsSlice(), to.AsSlice()
	pseudo := append(append(append([]byte{}, a...), b...), 0, protocol, byte(len(body)>>8), byte(len(body)))
	check := checksum(append(pseudo, body...))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(body[sum:], check)
	if from.Is4() {
		h := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}
		h = append(append(h, a...), b...)
		binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(body)))
		binary.BigEndian.PutUint16(h[10:], checksum(h))
		return append(h, body...)
	}
	h := []byte{0x60, 0, 0, 0, byte(len(body) >> 8), byte(len(body)), protocol, 64}
	return append(append(append(h, a...), b...), body...)
}

func anyLike(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// checksum is the Internet's (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

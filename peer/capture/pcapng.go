package capture

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"
)

// blockWriter writes the blocks of a pcapng file (draft-ietf-opsawg-pcapng): IP packets, whose headers
// are made up around what went over sockets, and keys.
type blockWriter struct {
	w     io.Writer
	err   error                  // the first one; nothing is written after it
	flows map[tcpFlow]*[2]uint32 // next TCP sequence numbers, local and remote
}

type tcpFlow struct{ local, remote netip.AddrPort }

// Block types, and the secrets type "TLS Key Log".
const (
	sectionHeaderBlock        = 0x0a0d0d0a
	interfaceDescriptionBlock = 1
	enhancedPacketBlock       = 6
	decryptionSecretsBlock    = 10

	tlsKeyLog   = 0x544c534b
	linkTypeRaw = 101 // IPv4 or IPv6 without a link layer
)

func newBlockWriter(w io.Writer) *blockWriter {
	b := &blockWriter{w: w, flows: map[tcpFlow]*[2]uint32{}}
	le := binary.LittleEndian
	section := le.AppendUint32(nil, 0x1a2b3c4d)    // byte-order magic
	section = le.AppendUint16(section, 1)          // version 1.0
	section = le.AppendUint16(section, 0)          //
	section = le.AppendUint64(section, ^uint64(0)) // length of the section: unspecified
	b.writeBlock(sectionHeaderBlock, section)
	link := le.AppendUint16(nil, linkTypeRaw)
	link = le.AppendUint32(append(link, 0, 0), 0) // no limit of the length of packets
	b.writeBlock(interfaceDescriptionBlock, link) // times are in microseconds
	return b
}

// writeBlock writes a block: type, length, body padded to 32 bits, length again.
func (b *blockWriter) writeBlock(blockType uint32, body []byte) {
	if b.err != nil {
		return
	}
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	length := uint32(len(body) + 12)
	block := binary.LittleEndian.AppendUint32(nil, blockType)
	block = binary.LittleEndian.AppendUint32(block, length)
	block = append(block, body...)
	block = binary.LittleEndian.AppendUint32(block, length)
	_, b.err = b.w.Write(block)
}

// writeSecrets writes lines of a key log.
func (b *blockWriter) writeSecrets(lines []byte) {
	body := binary.LittleEndian.AppendUint32(nil, tlsKeyLog)
	body = binary.LittleEndian.AppendUint32(body, uint32(len(lines)))
	b.writeBlock(decryptionSecretsBlock, append(body, lines...))
}

func (b *blockWriter) writePacket(at time.Time, packet []byte) {
	micros := uint64(at.UnixMicro())
	body := binary.LittleEndian.AppendUint32(nil, 0) // the interface
	body = binary.LittleEndian.AppendUint32(body, uint32(micros>>32))
	body = binary.LittleEndian.AppendUint32(body, uint32(micros))
	body = binary.LittleEndian.AppendUint32(body, uint32(len(packet))) // captured
	body = binary.LittleEndian.AppendUint32(body, uint32(len(packet))) // original
	b.writeBlock(enhancedPacketBlock, append(body, packet...))
}

// IP protocol numbers.
const (
	protocolTCP = 6
	protocolUDP = 17
)

func (b *blockWriter) writeUDP(at time.Time, from, to netip.AddrPort, data []byte) {
	p := binary.BigEndian.AppendUint16(nil, from.Port())
	p = binary.BigEndian.AppendUint16(p, to.Port())
	p = binary.BigEndian.AppendUint16(p, uint16(8+len(data)))
	p = append(p, 0, 0)
	b.writePacket(at, ipPacket(protocolUDP, from.Addr(), to.Addr(), append(p, data...), 6))
}

// maxSegment is how many bytes of a TCP stream go into one packet of the file.
const maxSegment = 32 << 10

// writeTCP writes a piece of a stream as segments, in order, without losses and handshakes.
func (b *blockWriter) writeTCP(at time.Time, out bool, local, remote netip.AddrPort, data []byte) {
	flow := tcpFlow{local, remote}
	next := b.flows[flow]
	if next == nil {
		next = &[2]uint32{1, 1}
		b.flows[flow] = next
	}
	from, to, sequence, acknowledged := local, remote, &next[0], &next[1]
	if !out {
		from, to, sequence, acknowledged = remote, local, &next[1], &next[0]
	}
	for len(data) > 0 {
		piece := data[:min(len(data), maxSegment)]
		data = data[len(piece):]
		p := binary.BigEndian.AppendUint16(nil, from.Port())
		p = binary.BigEndian.AppendUint16(p, to.Port())
		p = binary.BigEndian.AppendUint32(p, *sequence)
		p = binary.BigEndian.AppendUint32(p, *acknowledged)
		p = append(p, 5<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0) // 5 words, PSH and ACK, window
		*sequence += uint32(len(piece))
		b.writePacket(at, ipPacket(protocolTCP, from.Addr(), to.Addr(), append(p, piece...), 16))
	}
}

// ipPacket returns an IP packet with a UDP datagram or TCP segment, and sets its checksum at offset
// sum.
func ipPacket(protocol byte, from, to netip.Addr, body []byte, sum int) []byte {
	if from.Is4() != to.Is4() { // a socket that listens on all addresses has none of its own
		if from.IsUnspecified() {
			from = unspecifiedLike(to)
		} else {
			to = unspecifiedLike(from)
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

// unspecifiedLike returns the unspecified address of the family of a.
func unspecifiedLike(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// checksum returns the Internet checksum (RFC 1071).
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

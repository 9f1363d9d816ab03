package capture

import (
	"encoding/binary"
	"io"
	"math"
	"net/netip"
	"slices"
	"time"
)

// blockWriter writes the blocks of a pcapng file (draft-ietf-opsawg-pcapng): IP packets, whose
// headers are made up around what went over sockets, and keys.
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

// writePacket writes a datagram, or the segments of a piece of a stream. Whatever fits no packet is
// dropped.
func (b *blockWriter) writePacket(k packet) {
	k.local, k.remote = sameFamily(k.local, k.remote)
	if k.stream {
		b.writeTCP(k)
	} else {
		b.writeUDP(k)
	}
}

func (b *blockWriter) writeIP(at time.Time, ip []byte) {
	micros := uint64(at.UnixMicro())
	body := binary.LittleEndian.AppendUint32(nil, 0) // the interface
	body = binary.LittleEndian.AppendUint32(body, uint32(micros>>32))
	body = binary.LittleEndian.AppendUint32(body, uint32(micros))
	body = binary.LittleEndian.AppendUint32(body, uint32(len(ip))) // captured
	body = binary.LittleEndian.AppendUint32(body, uint32(len(ip))) // original
	b.writeBlock(enhancedPacketBlock, append(body, ip...))
}

// IP protocol numbers, and the length of headers.
const (
	protocolTCP = 6
	protocolUDP = 17
	headerUDP   = 8
	headerIPv4  = 20
)

func (b *blockWriter) writeUDP(k packet) {
	length := headerUDP + len(k.data)
	longest := math.MaxUint16
	if k.local.Addr().Is4() {
		longest -= headerIPv4
	}
	if length > longest {
		return
	}
	from, to := k.local, k.remote
	if !k.out {
		from, to = to, from
	}
	p := binary.BigEndian.AppendUint16(nil, from.Port())
	p = binary.BigEndian.AppendUint16(p, to.Port())
	p = binary.BigEndian.AppendUint16(p, uint16(length))
	p = append(p, 0, 0)
	b.writeIP(k.at, ipPacket(protocolUDP, from.Addr(), to.Addr(), append(p, k.data...), 6))
}

const (
	// maxSegment is how many bytes of a TCP stream go into one packet of the file.
	maxSegment = 32 << 10
	// maxFlows is of how many TCP connections the sequence numbers are known. Those of a connection
	// that was forgotten begin again.
	maxFlows = 4096
)

// writeTCP writes a piece of a stream as segments, in order, without losses and handshakes.
func (b *blockWriter) writeTCP(k packet) {
	flow := tcpFlow{k.local, k.remote}
	next := b.flows[flow]
	if next == nil {
		for forgotten := range b.flows {
			if len(b.flows) < maxFlows {
				break
			}
			delete(b.flows, forgotten)
		}
		next = &[2]uint32{1, 1}
		b.flows[flow] = next
	}
	from, to, sequence, acknowledged := k.local, k.remote, &next[0], &next[1]
	if !k.out {
		from, to, sequence, acknowledged = k.remote, k.local, &next[1], &next[0]
	}
	for piece := range slices.Chunk(k.data, maxSegment) {
		p := binary.BigEndian.AppendUint16(nil, from.Port())
		p = binary.BigEndian.AppendUint16(p, to.Port())
		p = binary.BigEndian.AppendUint32(p, *sequence)
		p = binary.BigEndian.AppendUint32(p, *acknowledged)
		p = append(p, 5<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0) // 5 words, PSH and ACK, window
		*sequence += uint32(len(piece))
		b.writeIP(k.at, ipPacket(protocolTCP, from.Addr(), to.Addr(), append(p, piece...), 16))
	}
}

// sameFamily returns addresses of one family. A socket that listens on all addresses has none of
// its own, or one of IPv6: it gets the unspecified address of the remote's family.
func sameFamily(local, remote netip.AddrPort) (netip.AddrPort, netip.AddrPort) {
	a, b := local.Addr().Unmap().WithZone(""), remote.Addr().Unmap().WithZone("")
	switch {
	case !a.IsValid() && !b.IsValid():
		a, b = netip.IPv4Unspecified(), netip.IPv4Unspecified()
	case !b.IsValid():
		b = unspecifiedLike(a)
	case !a.IsValid() || a.Is4() != b.Is4():
		a = unspecifiedLike(b)
	}
	return netip.AddrPortFrom(a, local.Port()), netip.AddrPortFrom(b, remote.Port())
}

// unspecifiedLike returns the unspecified address of the family of a.
func unspecifiedLike(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// ipPacket returns an IP packet with a UDP datagram or TCP segment, and sets the checksum of that
// at offset sum. Both addresses are of one family.
func ipPacket(protocol byte, from, to netip.Addr, body []byte, sum int) []byte {
	a, b := from.AsSlice(), to.AsSlice()
	pseudo := append(append(append([]byte{}, a...), b...), 0, protocol, byte(len(body)>>8), byte(len(body)))
	check := checksum(append(pseudo, body...))
	if check == 0 {
		check = 0xffff // for UDP 0 is no checksum
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

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pion/stun/v4"
)

var (
	localAddr  = netip.MustParseAddrPort("192.0.2.1:5000")
	remoteAddr = netip.MustParseAddrPort("198.51.100.2:6000")
)

// block is a block of a pcapng file.
type block struct {
	kind uint32
	body []byte
}

// readBlocks reads a pcapng file, and checks the lengths of its blocks.
func readBlocks(t *testing.T, file []byte) (all []block) {
	t.Helper()
	for len(file) > 0 {
		if len(file) < 12 {
			t.Fatalf("%d bytes are left", len(file))
		}
		length := binary.LittleEndian.Uint32(file[4:])
		if length%4 != 0 || length < 12 || int(length) > len(file) || binary.LittleEndian.Uint32(file[length-4:]) != length {
			t.Fatalf("invalid block length %d of %d bytes", length, len(file))
		}
		all = append(all, block{binary.LittleEndian.Uint32(file), file[8 : length-4]})
		file = file[length:]
	}
	return all
}

// packetsOf returns the IP packets of a file.
func packetsOf(t *testing.T, file []byte) (packets [][]byte) {
	t.Helper()
	for _, b := range readBlocks(t, file) {
		if b.kind == enhancedPacketBlock {
			packets = append(packets, b.body[20:20+binary.LittleEndian.Uint32(b.body[12:])])
		}
	}
	return packets
}

// handshakeRecord is a DTLS record of an unencrypted handshake.
func handshakeRecord() []byte {
	return append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4}, "data"...)
}

func framed(data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
}

func channelData(data []byte) []byte {
	return append([]byte{0x40, 1, 0, byte(len(data))}, data...)
}

func indication(t *testing.T, method stun.Method, data []byte) []byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.NewType(method, stun.ClassIndication), stun.RawAttribute{Type: stun.AttrData, Value: data})
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// TestKeysPrecedePackets: Wireshark needs keys before what they decrypt, however a handshake goes:
// over UDP, TCP (RFC 4571) and TURN.
func TestKeysPrecedePackets(t *testing.T) {
	plain := handshakeRecord()
	for name, c := range map[string]struct {
		stream bool
		data   []byte
	}{
		"UDP":                 {false, plain},
		"TCP":                 {true, framed(plain)},
		"TCP without length":  {true, plain},
		"TURN channel":        {false, channelData(plain)},
		"TURN send":           {false, indication(t, stun.MethodSend, plain)},
		"TURN data":           {false, indication(t, stun.MethodData, plain)},
		"TURN channel on TCP": {true, channelData(plain)},
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			p := NewPcapng(&file)
			write := p.Datagram
			if c.stream {
				write = p.Segment
			}
			write(true, localAddr, remoteAddr, c.data)
			write(false, localAddr, remoteAddr, []byte("encrypted"))
			if _, err := p.KeyLog().Write([]byte("CLIENT_RANDOM 00 11\n")); err != nil {
				t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			var kinds []uint32
			for _, b := range readBlocks(t, file.Bytes()) {
				kinds = append(kinds, b.kind)
			}
			want := []uint32{sectionHeaderBlock, interfaceDescriptionBlock, decryptionSecretsBlock, enhancedPacketBlock, enhancedPacketBlock}
			if !slices.Equal(kinds, want) {
				t.Errorf("got blocks %x, want %x", kinds, want)
			}
		})
	}
}

// TestHeldPacketsAreBounded: a handshake without keys does not fill the memory.
func TestHeldPacketsAreBounded(t *testing.T) {
	for name, c := range map[string]struct{ packets, size int }{"packets": {maxHeldPackets + 10, 20}, "bytes": {200, 60_000}} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			p := NewPcapng(&file)
			p.Datagram(true, localAddr, remoteAddr, handshakeRecord())
			for range c.packets {
				p.Datagram(false, localAddr, remoteAddr, make([]byte, c.size))
			}
			if file.Len() == 0 {
				t.Errorf("all of %d packets of %d bytes are held", c.packets, c.size)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if got := len(packetsOf(t, file.Bytes())); got != c.packets+1 {
				t.Errorf("got %d packets, want %d", got, c.packets+1)
			}
		})
	}
}

// TestPacketsAreValid: whatever the addresses and lengths are, IP packets are whole.
func TestPacketsAreValid(t *testing.T) {
	none, four, six := netip.AddrPort{}, localAddr, netip.MustParseAddrPort("[2001:db8::1]:5000")
	any6, mapped := netip.MustParseAddrPort("[::]:5000"), netip.MustParseAddrPort("[::ffff:192.0.2.1]:5000")
	for _, c := range []struct {
		local, remote netip.AddrPort
		size          int
		version, want int // packets
	}{
		{four, remoteAddr, 100, 4, 1},
		{six, six, 100, 6, 1},
		{any6, remoteAddr, 100, 4, 1},
		{mapped, remoteAddr, 100, 4, 1},
		{none, remoteAddr, 100, 4, 1},
		{none, six, 100, 6, 1},
		{four, none, 100, 4, 1},
		{none, none, 100, 4, 1},
		{four, remoteAddr, 65507, 4, 1},
		{four, remoteAddr, 65508, 4, 0}, // no UDP datagram is that long
		{six, six, 65527, 6, 1},
		{six, six, 65528, 6, 0},
	} {
		for _, out := range []bool{true, false} {
			var file bytes.Buffer
			p := NewPcapng(&file)
			p.Datagram(out, c.local, c.remote, make([]byte, c.size))
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			packets := packetsOf(t, file.Bytes())
			if len(packets) != c.want {
				t.Errorf("%v, %v: got %d packets of %d bytes, want %d", c.local, c.remote, len(packets), c.size, c.want)
				continue
			}
			for _, packet := range packets {
				length := int(binary.BigEndian.Uint16(packet[2:]))
				if c.version == 6 {
					length = int(binary.BigEndian.Uint16(packet[4:])) + 40
				}
				if int(packet[0]>>4) != c.version || length != len(packet) {
					t.Errorf("%v, %v: got IPv%d of length %d, want IPv%d of %d", c.local, c.remote, packet[0]>>4, length, c.version, len(packet))
				}
			}
		}
	}
}

// TestFlowsAreBounded: connecting to a port again and again does not fill the memory.
func TestFlowsAreBounded(t *testing.T) {
	p := NewPcapng(io.Discard)
	for i := range 70_000 {
		p.Segment(false, localAddr, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 16), 1}), uint16(i)), []byte("x"))
	}
	if got := len(p.blocks.flows); got > maxFlows {
		t.Errorf("got %d flows, want at most %d", got, maxFlows)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// failingWriter fails from the nth Write on, and counts those after.
type failingWriter struct{ n, after int }

var errDiskFull = errors.New("disk full")

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.n--; w.n >= 0 {
		return len(b), nil
	}
	w.after++
	return 0, errDiskFull
}

// TestFirstErrorEndsFile: nothing is written after the first error, and Close returns it, alone.
func TestFirstErrorEndsFile(t *testing.T) {
	type file struct {
		write func()
		io.Closer
	}
	for name, open := range map[string]func(io.Writer) file{
		"pcapng": func(w io.Writer) file {
			p := NewPcapng(w)
			return file{func() { p.Datagram(true, localAddr, remoteAddr, make([]byte, 60_000)) }, p}
		},
		"rtpdump": func(w io.Writer) file {
			d := NewRTPDump(w)
			return file{func() { d.WriteRTP(make([]byte, 60_000)) }, d}
		},
		"stats dump": func(w io.Writer) file {
			d := NewStatsDump(w, "test")
			c := d.NewConnection(ConnectionConfig{})
			return file{func() { c.Write("close", nil) }, d}
		},
	} {
		for n := range 3 {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				w := &failingWriter{n: n}
				f := open(w)
				for range 5 {
					f.write()
				}
				if err := f.Close(); !errors.Is(err, errDiskFull) || strings.Count(err.Error(), "disk full") != 1 {
					t.Errorf("got %v, want %v once", err, errDiskFull)
				}
				f.write()
				if err := f.Close(); err != nil {
					t.Errorf("the second Close returns %v", err)
				}
				if w.after != 1 {
					t.Errorf("%d writes after the first that failed", w.after-1)
				}
			})
		}
	}
}

// TestClosedFileStaysAsItIs: packets that come late are dropped.
func TestClosedFileStaysAsItIs(t *testing.T) {
	var file bytes.Buffer
	p := NewPcapng(&file)
	d := NewRTPDump(&file)
	s := NewStatsDump(&file, "test")
	c := s.NewConnection(ConnectionConfig{})
	for _, f := range []io.Closer{p, d, s} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	size := file.Len()
	for range 10 {
		p.Datagram(true, localAddr, remoteAddr, make([]byte, 60_000))
		p.Segment(true, localAddr, remoteAddr, make([]byte, 60_000))
		_, _ = p.KeyLog().Write(make([]byte, 60_000))
		d.WriteRTP(make([]byte, 60_000))
		c.Write("close", nil)
	}
	if file.Len() != size {
		t.Errorf("%d bytes were written after Close", file.Len()-size)
	}
}

// TestRTPDumpOfLongPacket: the length field has 16 bits; what does not fit is dropped.
func TestRTPDumpOfLongPacket(t *testing.T) {
	var file bytes.Buffer
	d := NewRTPDump(&file)
	d.WriteRTP(make([]byte, math.MaxUint16))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if want := len("#!rtpplay1.0 0.0.0.0/0\n") + 16; file.Len() != want {
		t.Errorf("got %d bytes, want the header of %d", file.Len(), want)
	}
}

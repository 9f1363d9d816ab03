package source

import (
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/codec"
)

// unpacker takes one payload and appends what it holds to a frame.
type unpacker interface {
	// reset begins a new frame.
	reset()
	// isHead tells whether a payload can be the first of a frame.
	isHead(payload []byte) bool
	unpack(frame, payload []byte) ([]byte, error)
}

// newUnpacker returns nil for codecs where each packet is a frame.
func newUnpacker(mime string) unpacker {
	switch mime {
	case webrtc.MimeTypeVP8:
		return &vp8Unpacker{}
	case webrtc.MimeTypeVP9:
		return &vp9Unpacker{}
	case webrtc.MimeTypeH264:
		return &h264Unpacker{}
	case webrtc.MimeTypeAV1:
		return &av1Unpacker{}
	}
	return nil
}

// assembler joins packets, in order, to frames. All packets of a frame have one timestamp, and the last one has the
// marker bit.
type assembler struct {
	unpacker unpacker
	// emit takes a complete frame: its data, valid during the call, its first packet, and whether something before it
	// was lost.
	emit func(data []byte, first arrived, gap bool)
	// broken is told of each frame that was dropped.
	broken func()

	data  []byte
	first arrived
	open  bool // a frame has begun
	bad   bool // and it is not complete
	gap   bool // something was lost since the last frame that was handed on
}

// use switches to another codec. A nil unpacker is for codecs where each packet is a frame.
func (a *assembler) use(u unpacker, emit func(data []byte, first arrived, gap bool), broken func()) {
	*a = assembler{unpacker: u, emit: emit, broken: broken, data: a.data[:0], gap: a.gap || a.open}
}

// push takes the next packet.
func (a *assembler) push(p arrived) {
	if p.gap {
		a.lose()
	}
	if len(p.packet.Payload) == 0 {
		return // padding, used to probe the bandwidth, is no part of a frame
	}
	if a.unpacker == nil {
		a.emit(p.packet.Payload, p, a.takeGap())
		return
	}
	if a.open && p.packet.Timestamp != a.first.packet.Timestamp {
		a.finish() // no marker, but nothing was lost either: some senders leave it out
	}
	if !a.open {
		a.begin(p)
	}
	a.add(p.packet)
	if p.packet.Marker {
		a.finish()
	}
}

// lose notes that packets are missing at this place. A frame that had not ended has lost some of its own.
func (a *assembler) lose() {
	if a.open {
		a.bad = true
	}
	a.gap = true
}

func (a *assembler) begin(p arrived) {
	a.open, a.first, a.data = true, p, a.data[:0]
	a.bad = !a.unpacker.isHead(p.packet.Payload)
	a.unpacker.reset()
}

func (a *assembler) add(p *rtp.Packet) {
	if a.bad {
		return
	}
	data, err := a.unpacker.unpack(a.data, p.Payload)
	if err != nil || len(data) > media.MaxFrameSize {
		a.bad = true
		return
	}
	a.data = data
}

// finish hands the frame on, or drops it.
func (a *assembler) finish() {
	a.open = false
	if a.bad || len(a.data) == 0 {
		a.gap = true
		a.broken()
		return
	}
	a.emit(a.data, a.first, a.takeGap())
}

func (a *assembler) takeGap() bool {
	gap := a.gap
	a.gap = false
	return gap
}

type vp8Unpacker struct{ packet codecs.VP8Packet }

func (u *vp8Unpacker) reset() {}

// isHead: the first packet of a frame begins partition 0 (RFC 7741 section 4.2); other partitions have the S bit too.
func (u *vp8Unpacker) isHead(payload []byte) bool {
	return payload[0]&0x10 != 0 && payload[0]&0x07 == 0
}

func (u *vp8Unpacker) unpack(frame, payload []byte) ([]byte, error) {
	data, err := u.packet.Unmarshal(payload)
	return append(frame, data...), err
}

type vp9Unpacker struct{}

func (u *vp9Unpacker) reset() {}

// isHead: B begins a layer frame; a picture of several spatial layers begins with the lowest (RFC 9628 section 4.2).
func (u *vp9Unpacker) isHead(payload []byte) bool {
	var p codecs.VP9Packet
	_, err := p.Unmarshal(payload)
	return err == nil && p.B && p.SID == 0
}

func (u *vp9Unpacker) unpack(frame, payload []byte) ([]byte, error) {
	var p codecs.VP9Packet // a used one keeps growing
	data, err := p.Unmarshal(payload)
	return append(frame, data...), err
}

type h264Unpacker struct{ packet codecs.H264Packet }

func (u *h264Unpacker) reset() { u.packet = codecs.H264Packet{} }

// isHead: a fragment that does not start its unit is none, nor is a slice that does not start its picture. That
// first_mb_in_slice is 0 shows in the first bit after the unit's header (RFC 6184 section 5.8, H.264 section 7.3.3).
func (u *h264Unpacker) isHead(payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	nal, slice := payload[0]&0x1F, payload[1:]
	if nal == 28 {
		if payload[1]&0x80 == 0 || len(payload) < 3 {
			return false
		}
		nal, slice = payload[1]&0x1F, payload[2:]
	}
	if nal == codec.NALSlice || nal == codec.NALIDR {
		return slice[0]&0x80 != 0
	}
	return true
}

func (u *h264Unpacker) unpack(frame, payload []byte) ([]byte, error) {
	data, err := u.packet.Unmarshal(payload)
	return append(frame, data...), err
}

type av1Unpacker struct{ packet codecs.AV1Depacketizer }

func (u *av1Unpacker) reset() { u.packet = codecs.AV1Depacketizer{} }

// isHead: Z says that the first OBU goes on from the packet before (AV1 RTP specification, section 4.4).
func (u *av1Unpacker) isHead(payload []byte) bool { return payload[0]&0x80 == 0 }

func (u *av1Unpacker) unpack(frame, payload []byte) ([]byte, error) {
	data, err := u.packet.Unmarshal(payload)
	return append(frame, data...), err
}

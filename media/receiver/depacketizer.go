package receiver

import (
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"parley/media/codec"
)

// depacketizer unpacks the RTP payloads of a codec.
type depacketizer interface {
	// reset begins a frame.
	reset()
	// isFirst reports whether a payload can be the first of a frame.
	isFirst(payload []byte) bool
	// unpack appends the content of a payload to a frame.
	unpack(frame, payload []byte) ([]byte, error)
}

// newDepacketizer returns nil for codecs where each packet is a frame.
func newDepacketizer(mime string) depacketizer {
	switch mime {
	case webrtc.MimeTypeVP8:
		return &vp8Depacketizer{}
	case webrtc.MimeTypeVP9:
		return &vp9Depacketizer{}
	case webrtc.MimeTypeH264:
		return &h264Depacketizer{}
	case webrtc.MimeTypeAV1:
		return &av1Depacketizer{}
	}
	return nil
}

type vp8Depacketizer struct{ packet codecs.VP8Packet }

func (d *vp8Depacketizer) reset() {}

// isFirst implements depacketizer. The first packet of a frame begins partition 0; other partitions have the S bit too
// (RFC 7741 section 4.2).
func (d *vp8Depacketizer) isFirst(payload []byte) bool {
	return payload[0]&0x10 != 0 && payload[0]&0x07 == 0
}

func (d *vp8Depacketizer) unpack(frame, payload []byte) ([]byte, error) {
	data, err := d.packet.Unmarshal(payload)
	return append(frame, data...), err
}

type vp9Depacketizer struct{}

func (d *vp9Depacketizer) reset() {}

// isFirst implements depacketizer. B marks the start of a layer frame; a frame of several spatial layers starts with the
// lowest (RFC 9628 section 4.2).
func (d *vp9Depacketizer) isFirst(payload []byte) bool {
	var p codecs.VP9Packet
	_, err := p.Unmarshal(payload)
	return err == nil && p.B && p.SID == 0
}

func (d *vp9Depacketizer) unpack(frame, payload []byte) ([]byte, error) {
	var p codecs.VP9Packet // its slices grow with each use
	data, err := p.Unmarshal(payload)
	return append(frame, data...), err
}

type h264Depacketizer struct{ packet codecs.H264Packet }

func (d *h264Depacketizer) reset() { d.packet = codecs.H264Packet{} }

// isFirst implements depacketizer. It returns false for a fragment that does not start its NAL unit and for a slice whose
// first_mb_in_slice is not 0, which the first bit after the NAL unit header shows (RFC 6184 section 5.8, H.264 section
// 7.3.3).
func (d *h264Depacketizer) isFirst(payload []byte) bool {
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

func (d *h264Depacketizer) unpack(frame, payload []byte) ([]byte, error) {
	data, err := d.packet.Unmarshal(payload)
	return append(frame, data...), err
}

type av1Depacketizer struct{ packet codecs.AV1Depacketizer }

func (d *av1Depacketizer) reset() { d.packet = codecs.AV1Depacketizer{} }

// isFirst implements depacketizer. Z marks a payload whose first OBU continues that of the packet before (AV1 RTP
// specification section 4.4).
func (d *av1Depacketizer) isFirst(payload []byte) bool { return payload[0]&0x80 == 0 }

func (d *av1Depacketizer) unpack(frame, payload []byte) ([]byte, error) {
	data, err := d.packet.Unmarshal(payload)
	return append(frame, data...), err
}

package receiver

import (
	"encoding/base64"
	"strings"

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
	// finish completes a frame. It returns nil for one that has only parameter sets, which are
	// added to a later frame.
	finish(frame []byte) []byte
}

// newDepacketizer returns nil for codecs where each packet is a frame.
func newDepacketizer(c webrtc.RTPCodecParameters) depacketizer {
	switch c.MimeType {
	case webrtc.MimeTypeVP8:
		return &vp8Depacketizer{}
	case webrtc.MimeTypeVP9:
		return &vp9Depacketizer{}
	case webrtc.MimeTypeH264:
		return &h264Depacketizer{sets: parameterSets(c.SDPFmtpLine)}
	case webrtc.MimeTypeAV1:
		return &av1Depacketizer{}
	}
	return nil
}

type vp8Depacketizer struct{ packet codecs.VP8Packet }

func (d *vp8Depacketizer) reset() {}

// isFirst implements depacketizer. The first packet of a frame begins partition 0; other partitions
// have the S bit too (RFC 7741 section 4.2).
func (d *vp8Depacketizer) isFirst(payload []byte) bool {
	return payload[0]&0x10 != 0 && payload[0]&0x07 == 0
}

func (d *vp8Depacketizer) unpack(frame, payload []byte) ([]byte, error) {
	data, err := d.packet.Unmarshal(payload)
	return append(frame, data...), err
}

func (d *vp8Depacketizer) finish(frame []byte) []byte { return frame }

// vp9Depacketizer joins the spatial layers of a frame to a superframe, which decoders need to show
// the highest layer.
type vp9Depacketizer struct {
	starts      []int // offsets of the layers in the superframe
	layers      [][]byte
	superframer codec.VP9Superframer
	buffer      []byte // of the superframe
}

func (d *vp9Depacketizer) reset() { d.starts = d.starts[:0] }

// isFirst implements depacketizer. B marks the start of a layer frame; a frame of several spatial
// layers starts with the lowest (RFC 9628 section 4.2).
func (d *vp9Depacketizer) isFirst(payload []byte) bool {
	var p codecs.VP9Packet
	_, err := p.Unmarshal(payload)
	return err == nil && p.B && p.SID == 0
}

func (d *vp9Depacketizer) unpack(frame, payload []byte) ([]byte, error) {
	var p codecs.VP9Packet // its slices grow with each use
	data, err := p.Unmarshal(payload)
	if p.B {
		d.starts = append(d.starts, len(frame))
	}
	return append(frame, data...), err
}

func (d *vp9Depacketizer) finish(frame []byte) []byte {
	d.layers = d.layers[:0]
	for i, start := range d.starts {
		end := len(frame)
		if i+1 < len(d.starts) {
			end = d.starts[i+1]
		}
		d.layers = append(d.layers, frame[start:end])
	}
	d.buffer = d.superframer.Append(d.buffer[:0], d.layers)
	return d.buffer
}

// h264Depacketizer remembers parameter sets, since some senders give them a timestamp of their own.
type h264Depacketizer struct {
	packet codecs.H264Packet
	sets   codec.ParameterSets
	buffer []byte // of a frame with inserted parameter sets
}

// parameterSets returns the parameter sets in the format parameters of H.264 (RFC 6184 section
// 8.1).
func parameterSets(fmtp string) (sets codec.ParameterSets) {
	for parameter := range strings.SplitSeq(fmtp, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(name, "sprop-parameter-sets") {
			continue
		}
		for set := range strings.SplitSeq(value, ",") {
			if nal, err := base64.StdEncoding.DecodeString(set); err == nil && len(nal) > 0 {
				sets.Put(nal)
			}
		}
	}
	return sets
}

func (d *h264Depacketizer) reset() { d.packet = codecs.H264Packet{} }

// isFirst implements depacketizer. It returns false for a fragment that does not start its NAL unit
// and for a slice whose first_mb_in_slice is not 0, which the first bit after the NAL unit header
// shows (RFC 6184 section 5.8, H.264 section 7.3.3).
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

// finish implements depacketizer. It adds parameter sets to an IDR picture that lacks them.
func (d *h264Depacketizer) finish(frame []byte) []byte {
	var sps, pps, idr, coded bool
	for nal := range codec.NALUnits(frame) {
		switch t := codec.NALType(nal); t {
		case codec.NALSPS, codec.NALPPS:
			sps, pps = sps || t == codec.NALSPS, pps || t == codec.NALPPS
			d.sets.Put(nal)
		case codec.NALSEI, codec.NALAUD:
		default:
			coded, idr = true, idr || t == codec.NALIDR
		}
	}
	if !coded {
		return nil
	}
	if !idr || sps && pps || d.sets.SPS == nil {
		return frame
	}
	d.buffer = d.sets.AppendAccessUnit(d.buffer[:0], codec.NALUnits(frame))
	return d.buffer
}

type av1Depacketizer struct{ packet codecs.AV1Depacketizer }

func (d *av1Depacketizer) reset() { d.packet = codecs.AV1Depacketizer{} }

// isFirst implements depacketizer. Z marks a payload whose first OBU continues that of the packet
// before (AV1 RTP specification section 4.4).
func (d *av1Depacketizer) isFirst(payload []byte) bool { return payload[0]&0x80 == 0 }

func (d *av1Depacketizer) unpack(frame, payload []byte) ([]byte, error) {
	data, err := d.packet.Unmarshal(payload)
	return append(frame, data...), err
}

func (d *av1Depacketizer) finish(frame []byte) []byte { return frame }

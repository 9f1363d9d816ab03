package codec

import (
	"errors"
	"fmt"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

const (
	convertH264 = "ffmpeg -i FILE -c:v libx264 -profile:v baseline -bf 0 -pix_fmt yuv420p -c:a copy OUT"
	convertVP9  = "ffmpeg -i FILE -c:v libvpx-vp9 -pix_fmt yuv420p -b:v 1M -c:a copy OUT"
	convertAV1  = "ffmpeg -i FILE -c:v libaom-av1 -usage realtime -pix_fmt yuv420p -b:v 1M -c:a copy OUT"
	convertAny  = "ffmpeg -i FILE -c:v libvpx -b:v 1M -c:a libopus OUT.webm"
)

// ErrBFrames is the error for H.264 whose frames are not in output order. RTP carries frames in
// decoding order, and browsers display them in the order in which they arrive.
var ErrBFrames = errors.New("H.264 has B-frames, which browsers display in the wrong order; convert it: " + convertH264)

// UnsupportedCodec returns the error for a codec that WebRTC does not carry. name is the codec's
// name in the container.
func UnsupportedCodec(name string) error {
	return fmt.Errorf("codec %q cannot be sent; convert it: %s", name[:min(len(name), 40)], convertAny)
}

// CheckSendable returns the reason why browsers do not decode the video that begins with a key
// frame, and the ffmpeg command that converts it. It returns nil if there is none, or if the
// headers of the frame cannot be read. For H.264 the sequence parameter set with its start code is
// enough.
func CheckSendable(mime string, frame []byte) error {
	switch mime {
	case webrtc.MimeTypeH264:
		for nal := range NALUnits(frame) {
			if NALType(nal) != NALSPS {
				continue
			}
			if sps, err := ParseSPS(nal); err == nil {
				return sps.CheckSendable()
			}
		}
	case webrtc.MimeTypeVP9:
		return checkVP9(frame)
	case webrtc.MimeTypeAV1:
		return checkAV1(frame)
	}
	return nil
}

// CheckSendable returns the reason why browsers do not decode the stream: they decode 4:2:0 with 8
// bits.
func (s SPS) CheckSendable() error {
	if s.ChromaFormat == 1 && s.BitDepth == 8 && s.BitDepthChroma == 8 {
		return nil
	}
	return fmt.Errorf("H.264 is %s with %d bits per sample; browsers decode 4:2:0 with 8 bits; convert it: %s",
		chromaName(s.ChromaFormat), max(s.BitDepth, s.BitDepthChroma), convertH264)
}

// CheckSendable returns the reason why browsers do not decode the stream, by its parameter sets.
func (a *AVCC) CheckSendable() error {
	if sps, err := ParseSPS(a.sets.SPS); err == nil {
		return sps.CheckSendable()
	}
	return nil
}

func checkVP9(frame []byte) error {
	if h, ok := parseVP9(frame); ok && h.Profile != 0 {
		return fmt.Errorf("VP9 has profile %d; browsers decode profile 0 (4:2:0 with 8 bits); convert it: %s", h.Profile, convertVP9)
	}
	return nil
}

func checkAV1(unit []byte) error {
	s, ok := findSequence(unit)
	if !ok || s.profile == 0 && s.highBitDepth == 0 && s.mono == 0 {
		return nil
	}
	depth := 8 + 2*int(s.highBitDepth) + 2*int(s.twelveBit)
	chroma := 3 - int(s.subsamplingX) - int(s.subsamplingY)
	if s.mono == 1 {
		chroma = 0
	}
	return fmt.Errorf("AV1 has profile %d (%s with %d bits per sample); browsers decode 4:2:0 with 8 bits; convert it: %s",
		s.profile, chromaName(chroma), depth, convertAV1)
}

// chromaName returns the usual name of a chroma_format_idc.
func chromaName(format int) string {
	return [4]string{"monochrome", "4:2:0", "4:2:2", "4:4:4"}[format&3]
}

// OpusCapability returns Opus as WebRTC negotiates it, which is always stereo at 48 kHz (RFC 7587
// section 7).
func OpusCapability() webrtc.RTPCodecCapability {
	return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: media.OpusClockRate, Channels: 2}
}

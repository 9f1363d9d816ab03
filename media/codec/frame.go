package codec

import (
	"github.com/pion/rtp/codecs/vp9"
	"github.com/pion/webrtc/v4"
)

// picture is what the header of a frame tells without decoding it.
type FrameHeader struct {
	Key           bool
	Width, Height int // 0 if the header does not tell
}

// ParseFrame looks at a whole frame of a codec. A frame that makes no sense is no key frame.
func ParseFrame(mime string, frame []byte) FrameHeader {
	switch mime {
	case webrtc.MimeTypeVP8:
		return ParseVP8(frame)
	case webrtc.MimeTypeVP9:
		return ParseVP9(frame)
	case webrtc.MimeTypeH264:
		return ParseH264(frame)
	case webrtc.MimeTypeAV1:
		return ParseAV1(frame)
	}
	return FrameHeader{}
}

// ParseVP8 reads the frame tag and the key frame header (RFC 6386 section 9.1).
func ParseVP8(frame []byte) FrameHeader {
	if len(frame) < 10 || frame[0]&1 != 0 || string(frame[3:6]) != "\x9d\x01\x2a" {
		return FrameHeader{}
	}
	// The upper two bits of each are a hint for scaling.
	return FrameHeader{
		Key:    true,
		Width:  int(frame[6]) | int(frame[7]&0x3F)<<8,
		Height: int(frame[8]) | int(frame[9]&0x3F)<<8,
	}
}

// ParseVP9 reads the uncompressed header (VP9 bitstream specification, section 6.2).
func ParseVP9(frame []byte) FrameHeader {
	h, ok := parseVP9(frame)
	if !ok || h.ShowExistingFrame || h.NonKeyFrame || h.FrameSize == nil {
		return FrameHeader{}
	}
	return FrameHeader{Key: true, Width: int(h.FrameSize.FrameWidthMinus1) + 1, Height: int(h.FrameSize.FrameHeightMinus1) + 1}
}

func parseVP9(frame []byte) (h vp9.Header, ok bool) {
	err := h.Unmarshal(frame)
	return h, err == nil
}

// ParseH264 looks for an IDR slice and a sequence parameter set.
func ParseH264(frame []byte) FrameHeader {
	var p FrameHeader
	for nal := range NALUnits(frame) {
		switch NALType(nal) {
		case NALIDR:
			p.Key = true
		case NALSPS:
			if sps, err := ParseSPS(nal); err == nil {
				p.Width, p.Height = sps.Width, sps.Height
			}
		}
	}
	return p
}

// VP9DecoderConfig is a VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding, section 2.2).
func VP9DecoderConfig(frame []byte, width, height uint16) []byte {
	profile, depth, chroma := byte(0), byte(8), byte(1)
	var h vp9.Header
	if h.Unmarshal(frame) == nil {
		profile = h.Profile
		if h.ColorConfig != nil {
			depth = h.ColorConfig.BitDepth
			if !h.ColorConfig.SubsamplingX {
				chroma = 3
			} else if !h.ColorConfig.SubsamplingY {
				chroma = 2
			}
		}
	}
	return []byte{profile, vp9Level(int(width) * int(height)), depth<<4 | chroma<<1, 2, 2, 2, 0, 0} // colours: unspecified
}

// vp9Level is the lowest that has pictures of a size (VP9 levels, luma picture size).
func vp9Level(pixels int) byte {
	for _, l := range []struct {
		pixels int
		level  byte
	}{{36864, 10}, {73728, 11}, {122880, 20}, {245760, 21}, {552960, 30}, {983040, 31}, {2228224, 40}, {8912896, 50}} {
		if pixels <= l.pixels {
			return l.level
		}
	}
	return 60
}

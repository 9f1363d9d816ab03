package codec

import "github.com/pion/rtp/codecs/vp9"

// ParseVP8 parses the frame tag and the key frame header (RFC 6386 section 9.1).
func ParseVP8(frame []byte) FrameHeader {
	if len(frame) < 10 || frame[0]&1 != 0 || string(frame[3:6]) != "\x9d\x01\x2a" {
		return FrameHeader{}
	}
	// The upper two bits of each are the scaling that a player may apply.
	return FrameHeader{
		Key:    true,
		Width:  int(frame[6]) | int(frame[7]&0x3F)<<8,
		Height: int(frame[8]) | int(frame[9]&0x3F)<<8,
	}
}

// ParseVP9 parses the uncompressed headers of a frame or superframe (VP9 bitstream specification,
// section 6.2). A superframe is a key frame if its first frame is one. Its size is that of its
// largest frame: spatial layers above the first are predicted from it, so that they are no key
// frames themselves.
func ParseVP9(data []byte) FrameHeader {
	frames := VP9Frames(data)
	h, ok := parseVP9(frames[0])
	if !ok || h.ShowExistingFrame || h.NonKeyFrame || h.FrameSize == nil {
		return FrameHeader{}
	}
	header := FrameHeader{Key: true, Width: int(h.FrameSize.FrameWidthMinus1) + 1, Height: int(h.FrameSize.FrameHeightMinus1) + 1}
	if len(frames) == 1 {
		return header
	}
	var layers VP9Superframer
	for _, frame := range frames {
		if size := layers.parse(frame).size; size.width*size.height > header.Width*header.Height {
			header.Width, header.Height = size.width, size.height
		}
	}
	return header
}

func parseVP9(frame []byte) (h vp9.Header, ok bool) {
	err := h.Unmarshal(frame)
	return h, err == nil
}

// VP9DecoderConfig returns the VPCodecConfigurationRecord of a key frame (VP Codec ISO Media File
// Format Binding, section 2.2). Its color description is unspecified.
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
	return []byte{profile, vp9Level(int(width) * int(height)), depth<<4 | chroma<<1, 2, 2, 2, 0, 0}
}

// vp9Level returns the lowest level that allows frames of this many pixels (VP9 levels: maximum
// luma picture size).
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

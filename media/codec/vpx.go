package codec

import (
	"encoding/binary"

	"github.com/pion/rtp/codecs/vp9"
)

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

// ParseVP9 parses the uncompressed headers of a frame or superframe (VP9 bitstream specification, section 6.2). A superframe
// is a key frame if its first frame is one. Its size is that of its largest frame: spatial layers above the first are
// predicted from it, so that they are no key frames themselves.
func ParseVP9(data []byte) FrameHeader {
	var header FrameHeader
	for i, frame := range VP9Frames(data) {
		h, ok := parseVP9(frame)
		switch {
		case i == 0 && (!ok || h.ShowExistingFrame || h.NonKeyFrame || h.FrameSize == nil):
			return FrameHeader{}
		case !ok || h.ShowExistingFrame:
			continue
		}
		width, height := vp9InterFrameSize(frame)
		if h.FrameSize != nil {
			width, height = int(h.FrameSize.FrameWidthMinus1)+1, int(h.FrameSize.FrameHeightMinus1)+1
		}
		header.Key = true
		if width*height >= header.Width*header.Height {
			header.Width, header.Height = width, height
		}
	}
	return header
}

// vp9InterFrameSize returns the size in the header of a frame that is no key frame, 0 if it is that of a reference frame
// (VP9 bitstream specification, section 6.2 and 7.2).
func vp9InterFrameSize(frame []byte) (width, height int) {
	r := bitReader{data: frame}
	r.skip(2) // frame_marker
	profile := r.bits(1) | r.bits(1)<<1
	if profile == 3 {
		r.skip(1)
	}
	if r.flag() || !r.flag() { // show_existing_frame, frame_type
		return 0, 0
	}
	shown, resilient := r.flag(), r.flag()
	intra := !shown && r.flag()
	if !resilient {
		r.skip(2) // reset_frame_context
	}
	if intra {
		r.skip(24) // frame_sync_code
		if profile > 0 {
			return 0, 0 // after a color_config; browsers do not send it
		}
		r.skip(8) // refresh_frame_flags
	} else {
		r.skip(8 + 3*4) // refresh_frame_flags, ref_frame_idx and ref_frame_sign_bias
		for range 3 {
			if r.flag() { // found_ref
				return 0, 0
			}
		}
	}
	width, height = int(r.bits(16))+1, int(r.bits(16))+1
	if r.short {
		return 0, 0
	}
	return width, height
}

// VP9Frames returns the frames of a superframe, and data itself if it is a single frame (VP9 bitstream specification,
// annex B).
func VP9Frames(data []byte) [][]byte {
	if len(data) == 0 || data[len(data)-1]&0xE0 != 0xC0 {
		return [][]byte{data}
	}
	marker := data[len(data)-1]
	count, sizeBytes := int(marker&7)+1, int(marker>>3&3)+1
	start := len(data) - 2 - count*sizeBytes
	if start < 0 || data[start] != marker {
		return [][]byte{data}
	}
	var frames [][]byte
	rest, index := data[:start], data[start+1:]
	for range count {
		size := 0
		for i := range sizeBytes {
			size |= int(index[i]) << (8 * i)
		}
		index = index[sizeBytes:]
		if size > len(rest) {
			return [][]byte{data}
		}
		if size > 0 {
			frames = append(frames, rest[:size])
		}
		rest = rest[size:]
	}
	if len(frames) == 0 {
		return [][]byte{data}
	}
	return frames
}

// AppendVP9Index appends the index that makes a superframe of frames with these sizes, of which there are at most 8 (VP9
// bitstream specification, annex B).
func AppendVP9Index(data []byte, sizes []int) []byte {
	marker := byte(0xC0 | 3<<3 | len(sizes) - 1)
	data = append(data, marker)
	for _, size := range sizes {
		data = binary.LittleEndian.AppendUint32(data, uint32(size)) //nolint:gosec // below media.MaxFrameSize
	}
	return append(data, marker)
}

func parseVP9(frame []byte) (h vp9.Header, ok bool) {
	err := h.Unmarshal(frame)
	return h, err == nil
}

// VP9DecoderConfig returns the VPCodecConfigurationRecord of a key frame (VP Codec ISO Media File Format Binding, section
// 2.2). Its color description is unspecified.
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

// vp9Level returns the lowest level that allows frames of this many pixels (VP9 levels: maximum luma picture size).
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

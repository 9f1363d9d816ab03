package media

import (
	"github.com/pion/rtp/codecs/vp9"
	"github.com/pion/webrtc/v4"
)

// picture is what the header of a frame tells without decoding it.
type picture struct {
	key           bool
	width, height int // 0 if the header does not tell
}

// readPicture looks at a whole frame of a codec. A frame that makes no sense is no key frame.
func readPicture(mime string, frame []byte) picture {
	switch mime {
	case webrtc.MimeTypeVP8:
		return readVP8(frame)
	case webrtc.MimeTypeVP9:
		return readVP9(frame)
	case webrtc.MimeTypeH264:
		return readH264(frame)
	case webrtc.MimeTypeAV1:
		return readAV1(frame)
	}
	return picture{}
}

// readVP8 reads the frame tag and the key frame header (RFC 6386 section 9.1).
func readVP8(frame []byte) picture {
	if len(frame) < 10 || frame[0]&1 != 0 || string(frame[3:6]) != "\x9d\x01\x2a" {
		return picture{}
	}
	// The upper two bits of each are a hint for scaling.
	return picture{
		key:    true,
		width:  int(frame[6]) | int(frame[7]&0x3F)<<8,
		height: int(frame[8]) | int(frame[9]&0x3F)<<8,
	}
}

// readVP9 reads the uncompressed header (VP9 bitstream specification, section 6.2).
func readVP9(frame []byte) picture {
	var h vp9.Header
	if err := h.Unmarshal(frame); err != nil || h.ShowExistingFrame || h.NonKeyFrame || h.FrameSize == nil {
		return picture{}
	}
	return picture{key: true, width: int(h.FrameSize.FrameWidthMinus1) + 1, height: int(h.FrameSize.FrameHeightMinus1) + 1}
}

// readH264 looks for an IDR slice and a sequence parameter set.
func readH264(frame []byte) picture {
	var p picture
	for nal := range annexB(frame) {
		switch nalType(nal) {
		case nalIDR:
			p.key = true
		case nalSPS:
			if sps, err := parseSPS(nal); err == nil {
				p.width, p.height = sps.width, sps.height
			}
		}
	}
	return p
}

package codec

import "github.com/pion/webrtc/v4"

// FrameHeader is the part of a frame's headers that is the same for all video codecs.
type FrameHeader struct {
	Key           bool // a decoder can start with the frame
	Width, Height int  // in pixels, 0 if the headers lack it
}

// ParseFrame parses the headers of a frame of a codec, by its MIME type. It returns the zero value
// for an invalid frame or an unknown codec.
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

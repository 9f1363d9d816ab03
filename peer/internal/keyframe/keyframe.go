// Package keyframe detects key frames in the payloads of RTP packets.
package keyframe

import (
	"strings"

	"github.com/pion/webrtc/v4"
)

// Starts reports whether the payload of an RTP packet is the first of a frame that can be decoded
// without an earlier one. mime is the MIME type of the codec. The result is true for every payload
// of a codec that the package does not know, and false for an empty one.
func Starts(mime string, payload []byte) bool {
	switch {
	case len(payload) == 0:
		return false
	case strings.EqualFold(mime, webrtc.MimeTypeVP8):
		return startsVP8(payload)
	case strings.EqualFold(mime, webrtc.MimeTypeVP9):
		return startsVP9(payload)
	case strings.EqualFold(mime, webrtc.MimeTypeH264):
		return startsH264(payload)
	case strings.EqualFold(mime, webrtc.MimeTypeAV1):
		return startsAV1(payload)
	}
	return true
}

// startsVP8 reads the payload descriptor and the payload header (RFC 7741 sections 4.2 and 4.3).
func startsVP8(p []byte) bool {
	if p[0]&0x17 != 0x10 { // the start of the first partition
		return false
	}
	at := 1
	if p[0]&0x80 != 0 && len(p) > 1 {
		extended := p[1]
		at = 2
		if extended&0x80 != 0 { // picture ID, of one byte or two
			at++
			if len(p) > 2 && p[2]&0x80 != 0 {
				at++
			}
		}
		if extended&0x40 != 0 {
			at++
		}
		if extended&0x30 != 0 {
			at++
		}
	}
	return len(p) > at && p[at]&1 == 0
}

// startsVP9 reads the payload descriptor (RFC 9628 section 4.2). Of several spatial layers only the
// lowest starts a key frame.
func startsVP9(p []byte) bool {
	const pictureID, predicted, layered, start = 0x80, 0x40, 0x20, 0x08
	if p[0]&start == 0 || p[0]&predicted != 0 {
		return false
	}
	at := 1
	if p[0]&pictureID != 0 {
		at++
		if len(p) > 1 && p[1]&0x80 != 0 {
			at++
		}
	}
	return p[0]&layered == 0 || len(p) > at && p[at]&0x0e == 0
}

// startsH264 looks for an IDR slice or the sequence parameter set before it (RFC 6184 sections 5.4
// to 5.8).
func startsH264(p []byte) bool {
	const idr, sps, aggregate, fragment = 5, 7, 24, 28
	isKey := func(unit byte) bool { return unit&31 == idr || unit&31 == sps }
	switch p[0] & 31 {
	case aggregate:
		for p = p[1:]; len(p) > 2; p = p[min(len(p), 2+(int(p[0])<<8|int(p[1]))):] {
			if isKey(p[2]) {
				return true
			}
		}
		return false
	case fragment:
		return len(p) > 1 && p[1]&0x80 != 0 && isKey(p[1])
	}
	return isKey(p[0])
}

// startsAV1 reads the aggregation header (RTP payload format for AV1, section 4.4): N is set, Z is
// not.
func startsAV1(p []byte) bool { return p[0]&0x88 == 0x08 }

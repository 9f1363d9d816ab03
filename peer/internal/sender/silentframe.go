package sender

import (
	"bytes"
	"strings"

	"github.com/pion/webrtc/v4"
)

// silentFrame returns a payload of silence that lasts as long as an audio payload, for a muted
// track (W3C Media Capture, MediaStreamTrack.enabled).
func silentFrame(mime string, payload []byte) []byte {
	switch {
	case strings.EqualFold(mime, webrtc.MimeTypeOpus) && len(payload) > 0:
		return opusSilence(payload)
	case strings.EqualFold(mime, webrtc.MimeTypePCMU):
		return bytes.Repeat([]byte{0xff}, len(payload))
	case strings.EqualFold(mime, webrtc.MimeTypePCMA):
		return bytes.Repeat([]byte{0xd5}, len(payload))
	}
	return make([]byte, len(payload))
}

// opusSilence returns silent CELT frames (RFC 6716 section 4.3, symbol silence) with the duration
// of a packet.
func opusSilence(packet []byte) []byte {
	const celtFullBand = 28 // of 2.5 ms; the three after it last 5, 10 and 20 ms
	quiet := []byte{0xff, 0xfe}
	quarters := opusQuarters(packet)
	for step, length := range []int{1, 2, 4} {
		if quarters == length {
			return append([]byte{byte(celtFullBand+step) << 3}, quiet...)
		}
	}
	n := max(1, quarters/8)
	if n == 1 {
		return append([]byte{(celtFullBand + 3) << 3}, quiet...)
	}
	return append([]byte{(celtFullBand+3)<<3 | 3, byte(n)}, bytes.Repeat(quiet, n)...)
}

// opusQuarters returns the duration of a packet in units of 2.5 ms (RFC 6716 sections 3.1 and 3.2).
func opusQuarters(packet []byte) int {
	config := int(packet[0] >> 3)
	frame := 1 << (config & 3) // CELT
	switch {
	case config < 12: // SILK
		frame = []int{4, 8, 16, 24}[config&3]
	case config < 16: // hybrid
		frame = []int{4, 8}[config&1]
	}
	switch packet[0] & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	}
	if len(packet) < 2 {
		return frame
	}
	return min(int(packet[1]&0x3f)*frame, 48) // a packet has 120 ms at most
}

package codec

import (
	"encoding/binary"
	"errors"
	"fmt"

	"parley/media"
)

// OpusPacketSamples is the number of samples at 48 kHz that a packet holds, 0 if it is no valid packet (RFC 6716 section 3.1
// and 3.2, errors R1 to R7 as far as the table of contents shows them).
func OpusPacketSamples(packet []byte) int {
	if len(packet) == 0 {
		return 0
	}
	frames := 0
	switch packet[0] & 3 {
	case 0:
		frames = 1
	case 1, 2:
		frames = 2
	default:
		if len(packet) < 2 {
			return 0
		}
		frames = int(packet[1] & 0x3F)
	}
	samples := frames * OpusFrameSamples(packet[0]>>3)
	if samples > media.OpusClockRate*120/1000 {
		return 0
	}
	return samples
}

// OpusFrameSamples is the length of one frame of a configuration (RFC 6716 table 2).
func OpusFrameSamples(config byte) int {
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		return [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		return [2]int{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		return 120 << (config & 3)
	}
}

// NewOpusHead is the identification header (RFC 7845 section 5.1), without pre-skip: a recording begins in the middle of a
// call, so that there is no start of the encoder to cut off. Two channels play what has one as well.
func NewOpusHead() []byte {
	head := append([]byte("OpusHead"), 1, 2, 0, 0)
	head = binary.LittleEndian.AppendUint32(head, media.OpusClockRate)
	return append(head, 0, 0, 0)
}

// CheckOpusHead reads the identification header (RFC 7845 section 5.1).
func CheckOpusHead(head []byte) error {
	switch {
	case len(head) < 19:
		return errors.New("the Opus header is cut off")
	case head[8]&0xF0 != 0:
		return fmt.Errorf("version %d of the Opus header is unknown", head[8])
	case head[9] < 1 || head[9] > 2 || head[18] != 0:
		return fmt.Errorf("the file has %d channels; a call carries 1 or 2", head[9])
	}
	return nil
}

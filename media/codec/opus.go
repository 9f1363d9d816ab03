package codec

import (
	"encoding/binary"
	"errors"
	"fmt"

	"parley/media"
)

// OpusPacketSamples returns the duration of a packet in samples at 48 kHz, 0 if the first two bytes
// are not those of a valid packet (RFC 6716 sections 3.1, 3.2 and 3.4).
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

// OpusFrameSamples returns the duration of a frame in samples at 48 kHz, by the configuration
// number in the upper five bits of a packet (RFC 6716 table 2).
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

// NewOpusHead returns an identification header (RFC 7845 section 5.1) with two channels, which play
// mono packets too, and without pre-skip: a recording begins in the middle of a call, not with the
// start of the encoder.
func NewOpusHead() []byte {
	head := append([]byte("OpusHead"), 1, 2, 0, 0)
	head = binary.LittleEndian.AppendUint32(head, media.OpusClockRate)
	return append(head, 0, 0, 0)
}

// OpusHead is the identification header of an Opus stream.
type OpusHead struct {
	// Channels is 1 or 2.
	Channels int
	// PreSkip is the number of samples at 48 kHz that a decoder discards at the start.
	PreSkip int
}

// ParseOpusHead parses the identification header (RFC 7845 section 5.1) of a stream that a call can
// carry: one Opus stream of 1 or 2 channels, whatever its mapping family. It ignores the output
// gain.
func ParseOpusHead(head []byte) (OpusHead, error) {
	if len(head) < 19 || string(head[:8]) != "OpusHead" {
		return OpusHead{}, errors.New("invalid OpusHead: too short")
	}
	h := OpusHead{Channels: int(head[9]), PreSkip: int(binary.LittleEndian.Uint16(head[10:]))}
	family := head[18]
	switch {
	case head[8]&0xF0 != 0:
		return OpusHead{}, fmt.Errorf("invalid OpusHead: version is %d, want 1", head[8])
	case h.Channels < 1 || h.Channels > 2:
		return OpusHead{}, fmt.Errorf("the Opus stream has %d channels; want 1 or 2; convert it: ffmpeg -i FILE -ac 2 -c:a libopus OUT.ogg", h.Channels)
	case family != 0 && len(head) < 21+h.Channels:
		return OpusHead{}, errors.New("invalid OpusHead: the channel mapping table is cut off")
	case family != 0 && head[19] != 1:
		return OpusHead{}, fmt.Errorf("the Opus track has %d streams; want 1; convert it: ffmpeg -i FILE -ac 2 -c:a libopus OUT.ogg", head[19])
	}
	return h, nil
}

// SplitOpusPacket returns the frames of a packet as packets of one frame each (RFC 6716 section
// 3.2), with memory of their own. It returns the packet itself if it has one frame or is malformed.
func SplitOpusPacket(packet []byte) [][]byte {
	whole := [][]byte{packet}
	frames := opusFrames(packet)
	if len(frames) < 2 {
		return whole
	}
	var out [][]byte
	for _, f := range frames {
		if len(f) > maxOpusFrame {
			return whole
		}
		out = append(out, append([]byte{packet[0] &^ 3}, f...))
	}
	return out
}

// maxOpusFrame is the largest frame in bytes (RFC 6716 section 3.4, R2).
const maxOpusFrame = 1275

// opusFrames returns the frames of a packet, nil if it is malformed.
func opusFrames(packet []byte) [][]byte {
	if len(packet) < 2 {
		return nil
	}
	rest := packet[1:]
	switch packet[0] & 3 {
	case 0:
		return [][]byte{rest}
	case 1:
		if len(rest)%2 != 0 {
			return nil
		}
		return [][]byte{rest[:len(rest)/2], rest[len(rest)/2:]}
	case 2:
		size, n := opusFrameSize(rest)
		if n == 0 || size > len(rest)-n {
			return nil
		}
		return [][]byte{rest[n : n+size], rest[n+size:]}
	}
	header := rest[0]
	count, vbr := int(header&0x3F), header&0x80 != 0
	rest = rest[1:]
	if header&0x40 != 0 { // padding
		padding := 0
		for {
			if len(rest) == 0 {
				return nil
			}
			b := int(rest[0])
			rest = rest[1:]
			if b < 255 {
				padding += b
				break
			}
			padding += 254
		}
		if padding > len(rest) {
			return nil
		}
		rest = rest[:len(rest)-padding]
	}
	if count == 0 {
		return nil
	}
	sizes := make([]int, count)
	if vbr {
		total := 0
		for i := range sizes[:count-1] {
			size, n := opusFrameSize(rest)
			if n == 0 {
				return nil
			}
			sizes[i], rest = size, rest[n:]
			total += size
		}
		sizes[count-1] = len(rest) - total
	} else {
		if len(rest)%count != 0 {
			return nil
		}
		for i := range sizes {
			sizes[i] = len(rest) / count
		}
	}
	var frames [][]byte
	for _, size := range sizes {
		if size < 0 || size > len(rest) {
			return nil
		}
		frames, rest = append(frames, rest[:size]), rest[size:]
	}
	return frames
}

// opusFrameSize reads the size of a frame and returns it with the number of bytes read, 0 if there
// are too few (RFC 6716 section 3.2.1).
func opusFrameSize(b []byte) (size, n int) {
	switch {
	case len(b) >= 1 && b[0] < 252:
		return int(b[0]), 1
	case len(b) >= 2 && b[0] >= 252:
		return int(b[1])*4 + int(b[0]), 2
	}
	return 0, 0
}

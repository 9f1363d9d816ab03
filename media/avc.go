package media

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/webrtc/v4"
)

// avcReader turns H.264 as MP4 and Matroska have it, with lengths and with its parameter sets in the header of the file
// (ISO 14496-15 section 5), into a byte stream.
type avcReader struct {
	lengthSize int
	sets       parameterSets
	profile    [3]byte
	data       []byte
}

var errAVCC = errors.New("the header of its H.264 makes no sense")

// newAVCReader reads an AVCDecoderConfigurationRecord (ISO 14496-15 section 5.3.3.1).
func newAVCReader(config []byte) (*avcReader, error) {
	if len(config) < 7 || config[0] != 1 {
		return nil, errAVCC
	}
	a := &avcReader{lengthSize: int(config[4]&3) + 1, profile: [3]byte{config[1], config[2], config[3]}}
	count, rest := int(config[5]&0x1F), config[6:]
	for _, kind := range []byte{nalSPS, nalPPS} {
		for range count {
			if len(rest) < 2 {
				return nil, errAVCC
			}
			size := int(binary.BigEndian.Uint16(rest))
			if size == 0 || len(rest) < 2+size || nalType(rest[2:]) != kind {
				return nil, errAVCC
			}
			a.sets.put(rest[2 : 2+size])
			rest = rest[2+size:]
		}
		if kind == nalSPS {
			if len(rest) < 1 {
				return nil, errAVCC
			}
			count, rest = int(rest[0]), rest[1:]
		}
	}
	return a, nil
}

// codec is H.264 with the profile of the stream.
func (a *avcReader) codec() webrtc.RTPCodecCapability { return h264Codec(a.profile) }

func h264Codec(profile [3]byte) webrtc.RTPCodecCapability {
	return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: videoClock,
		SDPFmtpLine: fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=%02x%02x%02x",
			profile[0], profile[1], profile[2])}
}

// convert returns a picture as a byte stream, valid until the next call; a key frame has its parameter sets before it.
func (a *avcReader) convert(picture []byte) ([]byte, error) {
	a.data = a.data[:0]
	hasSets, idr := false, false
	for len(picture) > 0 {
		if len(picture) < a.lengthSize {
			return nil, errors.New("a unit of its H.264 is cut off")
		}
		size := 0
		for _, b := range picture[:a.lengthSize] {
			size = size<<8 | int(b)
		}
		picture = picture[a.lengthSize:]
		if size > len(picture) {
			return nil, fmt.Errorf("a unit of its H.264 claims %d bytes of %d", size, len(picture))
		}
		nal := picture[:size]
		picture = picture[size:]
		switch nalType(nal) {
		case nalSPS:
			hasSets = true
		case nalIDR:
			if !idr && !hasSets {
				a.data = a.sets.appendTo(a.data)
			}
			idr = true
		}
		a.sets.put(nal)
		if len(nal) > 0 {
			a.data = appendNAL(a.data, nal)
		}
	}
	return a.data, nil
}

// errReordered says that the pictures of a file are not in the order in which they are shown, which a call cannot do:
// RTP has them in the order of decoding, and browsers show them as they come.
var errReordered = errors.New("its H.264 has B frames, which a call cannot carry; encode it without: " +
	"ffmpeg -i FILE -c:v libx264 -bf 0 -profile:v baseline -c:a copy OUT")

// avcConfig makes an AVCDecoderConfigurationRecord of the parameter sets in a key frame, nil if there are none.
func avcConfig(frame []byte) []byte {
	var sets parameterSets
	for nal := range annexB(frame) {
		sets.put(nal)
	}
	if len(sets.sps) < 4 || len(sets.pps) == 0 {
		return nil
	}
	b := []byte{1, sets.sps[1], sets.sps[2], sets.sps[3], 0xFF, 0xE1} // lengths of four bytes, one SPS
	put := func(nal []byte) {
		b = binary.BigEndian.AppendUint16(b, uint16(len(nal))) //nolint:gosec // see below
		b = append(b, nal...)
	}
	if len(sets.sps) > 0xFFFF {
		return nil
	}
	put(sets.sps)
	b = append(b, 0)
	at := len(b) - 1
	for _, nal := range sets.pps {
		if len(nal) <= 0xFFFF && b[at] < 255 {
			b[at]++
			put(nal)
		}
	}
	if hasChromaFormat(sets.sps[1]) { // ISO 14496-15 section 5.3.3.1.2 wants the formats of these profiles
		b = append(b, 0xFC|1, 0xF8, 0xF8, 0)
	}
	return b
}

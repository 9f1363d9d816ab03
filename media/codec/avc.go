package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// AVCC converts H.264 as MP4 and Matroska hold it, with a length before each NAL unit and parameter
// sets in the header of the file (ISO 14496-15 section 5), to byte streams.
type AVCC struct {
	Profile    [3]byte // profile_idc, constraint flags, level_idc
	lengthSize int     // bytes
	sets       ParameterSets
	nals       [][]byte
	data       []byte
}

var errAVCC = errors.New("invalid avcC (AVCDecoderConfigurationRecord)")

// ParseAVCC parses an AVCDecoderConfigurationRecord (ISO 14496-15 section 5.3.3.1).
func ParseAVCC(config []byte) (*AVCC, error) {
	if len(config) < 7 || config[0] != 1 {
		return nil, errAVCC
	}
	a := &AVCC{lengthSize: int(config[4]&3) + 1, Profile: [3]byte{config[1], config[2], config[3]}}
	count, rest := int(config[5]&0x1F), config[6:]
	for _, kind := range []byte{NALSPS, NALPPS} {
		for range count {
			if len(rest) < 2 {
				return nil, errAVCC
			}
			size := int(binary.BigEndian.Uint16(rest))
			if size == 0 || len(rest) < 2+size || NALType(rest[2:]) != kind {
				return nil, errAVCC
			}
			a.sets.Put(rest[2 : 2+size])
			rest = rest[2+size:]
		}
		if kind == NALSPS {
			if len(rest) < 1 {
				return nil, errAVCC
			}
			count, rest = int(rest[0]), rest[1:]
		}
	}
	return a, nil
}

// SPS returns the sequence parameter set, nil if there is none.
func (a *AVCC) SPS() []byte { return a.sets.SPS }

// Capability returns H.264 with the profile of the stream.
func (a *AVCC) Capability() webrtc.RTPCodecCapability { return H264Capability(a.Profile) }

// H264Capability returns H.264 as it is negotiated (RFC 6184 section 8.1), with packetization mode
// 1. profile is profile_idc, constraint flags and level_idc.
func H264Capability(profile [3]byte) webrtc.RTPCodecCapability {
	return webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: media.VideoClockRate,
		SDPFmtpLine: fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=%02x%02x%02x",
			profile[0], profile[1], profile[2])}
}

// maxNALUnits is the largest number of NAL units in an access unit: one for each macroblock, and
// some more.
const maxNALUnits = 1 << 16

// ToAnnexB returns an access unit as a byte stream, valid until the next call. A key frame has its
// parameter sets.
func (a *AVCC) ToAnnexB(unit []byte) ([]byte, error) {
	a.nals = a.nals[:0]
	for len(unit) > 0 {
		if len(unit) < a.lengthSize {
			return nil, errors.New("H.264: truncated NAL unit length")
		}
		size := 0
		for _, b := range unit[:a.lengthSize] {
			size = size<<8 | int(b)
		}
		unit = unit[a.lengthSize:]
		if size > len(unit) {
			return nil, fmt.Errorf("H.264: NAL unit claims %d of %d bytes", size, len(unit))
		}
		if len(a.nals) == maxNALUnits {
			return nil, fmt.Errorf("H.264: access unit has more than %d NAL units", maxNALUnits)
		}
		a.nals = append(a.nals, unit[:size])
		unit = unit[size:]
	}
	a.data = a.sets.AppendAccessUnit(a.data[:0], slices.Values(a.nals))
	return a.data, nil
}

// AVCDecoderConfig returns the AVCDecoderConfigurationRecord of a key frame with start codes (ISO
// 14496-15 section 5.3.3.1), with lengths of four bytes, nil if the frame has no valid parameter
// sets.
func AVCDecoderConfig(frame []byte) []byte {
	var sets ParameterSets
	for nal := range NALUnits(frame) {
		sets.Put(nal)
	}
	if len(sets.SPS) < 4 || len(sets.PPS) == 0 {
		return nil
	}
	b := []byte{1, sets.SPS[1], sets.SPS[2], sets.SPS[3], 0xFF, 0xE1} // lengthSizeMinusOne 3, one SPS
	b = appendNALUnit16(b, sets.SPS)
	pps := sets.PPS[:min(len(sets.PPS), 255)]
	b = append(b, byte(len(pps)))
	for _, nal := range pps {
		b = appendNALUnit16(b, nal)
	}
	if hasChromaFormat(sets.SPS[1]) { // ISO 14496-15 section 5.3.3.1.2
		sps, err := ParseSPS(sets.SPS)
		if err != nil {
			return nil
		}
		b = append(b, 0xFC|byte(sps.ChromaFormat), 0xF8|byte(sps.BitDepth-8), 0xF8|byte(sps.BitDepthChroma-8), 0)
	}
	return b
}

// appendNALUnit16 appends a parameter set with a length of two bytes, to which ParameterSets limits
// it.
func appendNALUnit16(b, nal []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(nal))), nal...) //nolint:gosec // below maxParameterSets
}

// AppendLengthPrefixed appends the NAL units of a byte stream with lengths of four bytes, without
// access unit delimiters.
func AppendLengthPrefixed(b, stream []byte) []byte {
	for nal := range NALUnits(stream) {
		if NALType(nal) == NALAUD {
			continue
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(nal))) //nolint:gosec // at most media.MaxFrameSize
		b = append(b, nal...)
	}
	return b
}

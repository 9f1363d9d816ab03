package codec

import "github.com/pion/rtp/codecs/av1/obu"

// AV1DecoderConfig is the AV1CodecConfigurationRecord for the private data of a WebM track (AV1 ISOBMFF binding, section 2.3),
// made of the sequence header of a key frame.
func AV1DecoderConfig(unit []byte) []byte {
	s, ok := findSequence(unit)
	if !ok {
		return nil
	}
	config := []byte{
		0x81, // marker and version 1
		s.profile<<5 | s.level,
		s.tier<<7 | s.highBitDepth<<6 | s.twelveBit<<5 | s.mono<<4 | s.subsamplingX<<3 | s.subsamplingY<<2 | s.position,
		0, // no initial presentation delay
		0x0A,
	}
	config = append(config, obu.WriteToLeb128(uint(len(s.payload)))...)
	return append(config, s.payload...)
}

// findSequence returns the sequence header of a temporal unit.
func findSequence(unit []byte) (av1Sequence, bool) {
	for kind, payload := range obus(unit) {
		if kind == obu.OBUSequenceHeader {
			s := parseSequence(payload)
			return s, s.ok
		}
	}
	return av1Sequence{}, false
}

package codec

import (
	"iter"

	"github.com/pion/rtp/codecs/av1/obu"
)

// obus yields the type and the payload of each OBU of a temporal unit (AV1 section 5.3), up to the
// first one that is not valid or has no size field.
func obus(unit []byte) iter.Seq2[obu.Type, []byte] {
	return func(yield func(obu.Type, []byte) bool) {
		unit := unit
		for len(unit) > 0 {
			h, err := obu.ParseOBUHeader(unit)
			if err != nil || !h.HasSizeField {
				return
			}
			unit = unit[min(h.Size(), len(unit)):]
			size, n, err := obu.ReadLeb128(unit)
			if err != nil || uint64(size) > uint64(len(unit)-int(n)) { //nolint:gosec // n is at most 8
				return
			}
			unit = unit[n:]
			if !yield(h.Type, unit[:size]) {
				return
			}
			unit = unit[size:]
		}
	}
}

// ParseAV1 parses the sequence header and the type of the first frame of a temporal unit, which is
// a key frame only if it has both.
func ParseAV1(unit []byte) FrameHeader {
	var h FrameHeader
	var sequence av1Sequence
	for kind, payload := range obus(unit) {
		switch kind {
		case obu.OBUSequenceHeader:
			if s := parseSequence(payload); s.ok {
				sequence, h.Width, h.Height = s, s.width, s.height
			}
		case obu.OBUFrame, obu.OBUFrameHeader:
			h.Key = sequence.ok && isAV1KeyFrame(payload, sequence.reduced)
			return h
		}
	}
	return h
}

// isAV1KeyFrame parses the start of uncompressed_header (AV1 section 5.9.2). reduced is
// reduced_still_picture_header.
func isAV1KeyFrame(payload []byte, reduced bool) bool {
	if reduced {
		return true // the only frame type of such a sequence
	}
	r := &bitReader{data: payload}
	showExisting, frameType := r.flag(), r.bits(2)
	return !showExisting && frameType == 0 && !r.short
}

// av1Sequence is the part of a sequence header that decoder configurations hold (AV1 section
// 5.5.1). The fields of one byte have the values of the header.
type av1Sequence struct {
	payload       []byte // of the OBU
	ok            bool   // the header is valid up to the size of a frame
	reduced       bool   // reduced_still_picture_header
	width, height int    // of the largest frame, in pixels

	profile, level, tier                 byte
	highBitDepth, twelveBit, mono        byte
	subsamplingX, subsamplingY, position byte
}

// parseSequence parses the payload of a sequence header OBU.
func parseSequence(payload []byte) av1Sequence {
	r := &bitReader{data: payload}
	s := av1Sequence{payload: payload}
	s.profile = byte(r.bits(3))
	r.flag() // still_picture
	if s.reduced = r.flag(); s.reduced {
		s.level = byte(r.bits(5))
	} else {
		s.readOperatingPoints(r)
	}
	widthBits, heightBits := int(r.bits(4))+1, int(r.bits(4))+1
	s.width, s.height = int(r.bits(widthBits))+1, int(r.bits(heightBits))+1
	s.ok = !r.short
	s.skipTools(r)
	s.readColorConfig(r)
	return s
}

// readOperatingPoints parses the operating points, and keeps level and tier of the first one.
func (s *av1Sequence) readOperatingPoints(r *bitReader) {
	var delayBits int
	var decoderModel bool
	if r.flag() { // timing_info_present_flag
		r.skip(64)
		if r.flag() { // equal_picture_interval
			r.uvlc()
		}
		if decoderModel = r.flag(); decoderModel {
			delayBits = int(r.bits(5)) + 1
			r.skip(32 + 5 + 5)
		}
	}
	initialDelay := r.flag()
	for i := range r.bits(5) + 1 {
		r.skip(12) // operating_point_idc
		level, tier := byte(r.bits(5)), byte(0)
		if level > 7 {
			tier = byte(r.bits(1))
		}
		if i == 0 {
			s.level, s.tier = level, tier
		}
		if decoderModel && r.flag() {
			r.skip(2*delayBits + 1)
		}
		if initialDelay && r.flag() {
			r.skip(4)
		}
	}
}

// skipTools skips from frame_id_numbers_present_flag to enable_restoration.
func (s *av1Sequence) skipTools(r *bitReader) {
	if !s.reduced && r.flag() {
		r.skip(4 + 3)
	}
	r.skip(3) // superblocks of 128, filter intra, intra edge filter
	if !s.reduced {
		r.skip(4) // interintra, masked, warped, dual filter
		orderHint := r.flag()
		if orderHint {
			r.skip(2) // jnt_comp, ref_frame_mvs
		}
		screenContent := byte(2)
		if !r.flag() { // seq_choose_screen_content_tools
			screenContent = byte(r.bits(1))
		}
		if screenContent > 0 && !r.flag() { // seq_choose_integer_mv
			r.skip(1)
		}
		if orderHint {
			r.skip(3)
		}
	}
	r.skip(3) // superres, cdef, restoration
}

// readColorConfig parses color_config (AV1 section 5.5.2).
func (s *av1Sequence) readColorConfig(r *bitReader) {
	s.highBitDepth = byte(r.bits(1))
	if s.profile == 2 && s.highBitDepth == 1 {
		s.twelveBit = byte(r.bits(1))
	}
	if s.profile != 1 {
		s.mono = byte(r.bits(1))
	}
	primaries, transfer, matrix := uint32(2), uint32(2), uint32(2)
	if r.flag() {
		primaries, transfer, matrix = r.bits(8), r.bits(8), r.bits(8)
	}
	switch {
	case s.mono == 1:
		s.subsamplingX, s.subsamplingY = 1, 1
		return
	case primaries == 1 && transfer == 13 && matrix == 0: // sRGB is always 4:4:4
		return
	}
	r.skip(1) // color_range
	switch {
	case s.profile == 0:
		s.subsamplingX, s.subsamplingY = 1, 1
	case s.profile == 2 && s.twelveBit == 1:
		if s.subsamplingX = byte(r.bits(1)); s.subsamplingX == 1 {
			s.subsamplingY = byte(r.bits(1))
		}
	case s.profile == 2:
		s.subsamplingX = 1
	}
	if s.subsamplingX == 1 && s.subsamplingY == 1 {
		s.position = byte(r.bits(2))
	}
}

// AV1TemporalDelimiter returns the OBU that begins a temporal unit in a file (AV1 section 7.5). RTP
// leaves it out.
func AV1TemporalDelimiter() []byte { return []byte{0x12, 0x00} }

// AV1DecoderConfig returns the AV1CodecConfigurationRecord of a key frame (AV1 Codec ISO Media File
// Format Binding, section 2.3), nil if it has no sequence header.
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

// findSequence returns the sequence header of a temporal unit. ok is false if it has none that is
// valid.
func findSequence(unit []byte) (s av1Sequence, ok bool) {
	for kind, payload := range obus(unit) {
		if kind == obu.OBUSequenceHeader {
			s := parseSequence(payload)
			return s, s.ok
		}
	}
	return av1Sequence{}, false
}

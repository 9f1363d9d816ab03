package codec

import (
	"iter"

	"github.com/pion/rtp/codecs/av1/obu"
)

// obus walks the OBUs of a temporal unit, each with a size field (AV1 section 5.3), as far as they make sense. It yields
// the type, the payload, and the whole OBU.
func obus(unit []byte) iter.Seq2[obu.Type, []byte] {
	return func(yield func(obu.Type, []byte) bool) {
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

// ParseAV1 reads the sequence header and the type of the first frame. A temporal unit with a sequence header and a key
// frame stands on its own.
func ParseAV1(unit []byte) FrameHeader {
	var p FrameHeader
	var reduced, sequence bool
	for kind, payload := range obus(unit) {
		switch kind {
		case obu.OBUSequenceHeader:
			if s := parseSequence(payload); s.ok {
				p.Width, p.Height, reduced, sequence = s.width, s.height, s.reduced, true
			}
		case obu.OBUFrame, obu.OBUFrameHeader:
			p.Key = sequence && isAV1KeyFrame(payload, reduced)
			return p
		}
	}
	return p
}

// isAV1KeyFrame reads the start of uncompressed_header (AV1 section 5.9.2).
func isAV1KeyFrame(payload []byte, reduced bool) bool {
	if reduced {
		return true // reduced_still_picture_header allows no other
	}
	r := &bitReader{data: payload}
	showExisting, frameType := r.flag(), r.bits(2)
	return !showExisting && frameType == 0 && !r.short
}

// av1Sequence is what a sequence header says (AV1 section 5.5.1).
type av1Sequence struct {
	payload       []byte
	ok            bool // as far as the size
	reduced       bool // reduced_still_picture_header
	width, height int

	profile, level, tier                 byte
	highBitDepth, twelveBit, mono        byte
	subsamplingX, subsamplingY, position byte
}

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
	s.readColour(r)
	return s
}

// readOperatingPoints takes the level and tier of the first one.
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

// readColour reads color_config (AV1 section 5.5.2).
func (s *av1Sequence) readColour(r *bitReader) {
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

// AV1TemporalDelimiter is the OBU that begins a temporal unit in a file, and is left out on the network (AV1 section 7.5).
func AV1TemporalDelimiter() []byte { return []byte{0x12, 0x00} }

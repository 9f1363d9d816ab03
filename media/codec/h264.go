package codec

import (
	"bytes"
	"errors"
	"iter"
)

// NAL unit types (H.264 table 7-1).
const (
	NALSlice = 1
	NALIDR   = 5
	NALSEI   = 6
	NALSPS   = 7
	NALPPS   = 8
	NALAUD   = 9
)

// NALType returns nal_unit_type, 0 for an empty NAL unit.
func NALType(nal []byte) byte {
	if len(nal) == 0 {
		return 0
	}
	return nal[0] & 0x1F
}

// NALUnits yields the NAL units of a byte stream (H.264 annex B) without start codes and trailing
// zeros.
func NALUnits(stream []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		code := []byte{0, 0, 1}
		_, rest, ok := bytes.Cut(stream, code)
		for ok {
			var nal []byte
			nal, rest, ok = bytes.Cut(rest, code)
			if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 && !yield(nal) {
				return
			}
		}
	}
}

// SPS is the part of a sequence parameter set that packages of media need.
type SPS struct {
	Profile        [3]byte // profile_idc, constraint flags, level_idc
	Width, Height  int     // of a frame after cropping, in pixels
	ChromaFormat   int     // chroma_format_idc: 0 is monochrome, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4
	BitDepth       int     // bits per luma sample
	BitDepthChroma int     // bits per chroma sample
	Interlaced     bool    // frames may be coded as two fields
	// Reordered reports whether the order of decoding may differ from the order of output: neither
	// the profile, nor constraint_set5_flag, nor pic_order_cnt_type, nor max_num_reorder_frames
	// rules it out.
	Reordered bool
	// FrameRate is the rate in frames per second of the VUI parameters, 0 if they lack it.
	FrameRate float64
}

var errSPS = errors.New("invalid sequence parameter set")

// ParseSPS parses a sequence parameter set with its NAL unit header (H.264 section 7.3.2.1.1).
func ParseSPS(nal []byte) (SPS, error) {
	// h264.SPS of mediacommon v2.8.0 rejects sets whose VUI parameters are cut off, which decoders
	// accept, does not bound the size, and crops monochrome video wrong.
	if NALType(nal) != NALSPS || len(nal) < 4 {
		return SPS{}, errSPS
	}
	s := SPS{Profile: [3]byte{nal[1], nal[2], nal[3]}, ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8}
	r := &bitReader{data: unescape(nal[4:])}
	r.ue() // seq_parameter_set_id
	chromaArrayType := uint32(1)
	if hasChromaFormat(s.Profile[0]) {
		chromaArrayType = s.readChromaFormat(r)
	}
	r.ue()                               // log2_max_frame_num_minus4
	const baseline, noBSlices = 66, 0x04 // profile_idc, constraint_set5_flag
	s.Reordered = skipPicOrder(r) != 2 && s.Profile[0] != baseline && s.Profile[1]&noBSlices == 0
	r.ue() // max_num_ref_frames
	r.flag()
	widthMbs, heightUnits := r.ue()+1, r.ue()+1
	frameMbsOnly := r.bits(1)
	s.Interlaced = frameMbsOnly == 0
	if s.Interlaced {
		r.flag() // mb_adaptive_frame_field_flag
	}
	r.flag() // direct_8x8_inference_flag
	var crop [4]uint32
	if r.flag() {
		crop = [4]uint32{r.ue(), r.ue(), r.ue(), r.ue()}
	}
	if widthMbs > 1024 || heightUnits > 1024 || max(crop[0], crop[1], crop[2], crop[3]) > 16384 {
		return SPS{}, errSPS
	}
	unitX, unitY := cropUnits(chromaArrayType, frameMbsOnly)
	s.Width = int(widthMbs)*16 - int(crop[0]+crop[1])*unitX
	s.Height = int(heightUnits)*16*(2-int(frameMbsOnly)) - int(crop[2]+crop[3])*unitY
	if r.short || s.Width <= 0 || s.Height <= 0 || s.ChromaFormat > 3 || max(s.BitDepth, s.BitDepthChroma) > 14 {
		return SPS{}, errSPS
	}
	if r.flag() {
		s.readVUI(r)
	}
	return s, nil
}

// hasChromaFormat reports whether the sequence parameter sets of a profile_idc hold the chroma
// format (H.264 section 7.3.2.1.1).
func hasChromaFormat(profile byte) bool {
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		return true
	}
	return false
}

// readChromaFormat parses the part that hasChromaFormat reports, and returns ChromaArrayType.
func (s *SPS) readChromaFormat(r *bitReader) uint32 {
	chroma := r.ue()
	separate := chroma == 3 && r.flag() // separate_colour_plane_flag
	s.ChromaFormat = int(min(chroma, 4))
	s.BitDepth = 8 + int(min(r.ue(), 7))
	s.BitDepthChroma = 8 + int(min(r.ue(), 7))
	r.flag() // qpprime_y_zero_transform_bypass_flag
	if r.flag() {
		skipScaling(r, chroma)
	}
	if separate {
		return 0 // three monochrome planes
	}
	return chroma
}

// skipScaling skips the scaling lists (H.264 section 7.3.2.1.1.1).
func skipScaling(r *bitReader, chroma uint32) {
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if !r.flag() {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for range size {
			if next != 0 {
				next = (last + r.se()%256 + 256) % 256
			}
			if next != 0 {
				last = next
			}
		}
	}
}

// skipPicOrder returns pic_order_cnt_type.
func skipPicOrder(r *bitReader) uint32 {
	kind := r.ue()
	switch kind {
	case 0:
		r.ue()
	case 1:
		r.flag()
		r.se()
		r.se()
		for range min(r.ue(), 255) {
			r.se()
		}
	}
	return kind
}

// cropUnits returns the units of the cropping rectangle in pixels (H.264 equations 7-19 to 7-22).
func cropUnits(chromaArrayType, frameMbsOnly uint32) (x, y int) {
	x, y = 1, 1
	switch chromaArrayType {
	case 1:
		x, y = 2, 2
	case 2:
		x = 2
	}
	return x, y * (2 - int(frameMbsOnly))
}

// readVUI parses the VUI parameters (H.264 section E.1.1) up to where they end: decoding does not
// need them.
func (s *SPS) readVUI(r *bitReader) {
	if r.flag() && r.bits(8) == 255 { // aspect_ratio_idc: Extended_SAR
		r.skip(32)
	}
	if r.flag() { // overscan_info_present_flag
		r.skip(1)
	}
	if r.flag() { // video_signal_type_present_flag
		r.skip(4)
		if r.flag() {
			r.skip(24)
		}
	}
	if r.flag() { // chroma_loc_info_present_flag
		r.ue()
		r.ue()
	}
	if r.flag() { // timing_info_present_flag
		tick, scale := r.bits(32), r.bits(32)
		if !r.short && tick > 0 {
			// A tick is a field, of which a frame has two (section E.2.1).
			s.FrameRate = float64(scale) / float64(tick) / 2
		}
		r.flag() // fixed_frame_rate_flag
	}
	nalHRD := r.flag()
	if nalHRD {
		skipHRD(r)
	}
	vclHRD := r.flag()
	if vclHRD {
		skipHRD(r)
	}
	if nalHRD || vclHRD {
		r.flag() // low_delay_hrd_flag
	}
	r.flag()      // pic_struct_present_flag
	if r.flag() { // bitstream_restriction_flag
		r.flag() // motion_vectors_over_pic_boundaries_flag
		for range 4 {
			r.ue()
		}
		if reorderFrames := r.ue(); reorderFrames == 0 && !r.short {
			s.Reordered = false
		}
	}
}

// skipHRD skips HRD parameters (H.264 section E.1.2).
func skipHRD(r *bitReader) {
	count := min(r.ue(), 31) + 1
	r.skip(4 + 4)
	for range count {
		r.ue()
		r.ue()
		r.flag()
	}
	r.skip(5 + 5 + 5 + 5)
}

// unescape removes emulation prevention bytes (H.264 section 7.4.1).
func unescape(nal []byte) []byte {
	out := make([]byte, 0, len(nal))
	zeros := 0
	for _, b := range nal {
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}

// ParameterSets holds the latest SPS and its PPS, for key frames that come without them.
type ParameterSets struct {
	SPS []byte
	PPS [][]byte // in order
}

// maxParameterSets is the largest size of the parameter sets that are remembered, in bytes. Real
// ones take less than 100.
const maxParameterSets = 64 << 10

// Put remembers a NAL unit if it is a parameter set. A new SPS replaces the old one and its PPS.
func (p *ParameterSets) Put(nal []byte) {
	switch NALType(nal) {
	case NALSPS:
		if !bytes.Equal(p.SPS, nal) && len(nal) < maxParameterSets {
			p.SPS, p.PPS = bytes.Clone(nal), nil
		}
	case NALPPS:
		size := len(p.SPS) + len(nal)
		for _, known := range p.PPS {
			if bytes.Equal(known, nal) {
				return
			}
			size += len(known)
		}
		if len(p.PPS) < 256 && size < maxParameterSets { // H.264 section 7.4.2.2 has no more ids
			p.PPS = append(p.PPS, bytes.Clone(nal))
		}
	}
}

// appendTo appends the sets to a byte stream.
func (p *ParameterSets) appendTo(stream []byte) []byte {
	stream = AppendNALUnit(stream, p.SPS)
	for _, nal := range p.PPS {
		stream = AppendNALUnit(stream, nal)
	}
	return stream
}

// AppendAccessUnit appends the NAL units of an access unit to a byte stream, and remembers the
// parameter sets among them. An IDR picture that lacks SPS or PPS gets the remembered ones, after
// the access unit delimiter, so that a decoder can start with every key frame. It iterates over
// nals twice.
func (p *ParameterSets) AppendAccessUnit(stream []byte, nals iter.Seq[[]byte]) []byte {
	var sps, pps, idr bool
	for nal := range nals {
		p.Put(nal)
		switch NALType(nal) {
		case NALSPS:
			sps = true
		case NALPPS:
			pps = true
		case NALIDR:
			idr = true
		}
	}
	insert := idr && !(sps && pps) && p.SPS != nil
	inserted := false
	for nal := range nals {
		switch t := NALType(nal); {
		case t == 0, insert && (t == NALSPS || t == NALPPS):
			continue
		case insert && !inserted && t != NALAUD:
			stream, inserted = p.appendTo(stream), true
		}
		stream = AppendNALUnit(stream, nal)
	}
	return stream
}

// AppendNALUnit appends a NAL unit with a start code of four bytes.
func AppendNALUnit(stream, nal []byte) []byte {
	return append(append(stream, 0, 0, 0, 1), nal...)
}

// StartsAccessUnit reports whether a NAL unit that follows a slice begins the next access unit
// (H.264 section 7.4.1.2.3). A slice does if first_mb_in_slice is 0, whose code is one bit: the
// slices of an access unit must be in order, as the baseline profile without arbitrary slice order,
// the main and the high profile require.
func StartsAccessUnit(nal []byte) bool {
	switch t := NALType(nal); {
	case t == NALSlice || t == NALIDR:
		return len(nal) > 1 && nal[1]&0x80 != 0
	case t >= NALSEI && t <= NALAUD, t >= 14 && t <= 18:
		return true
	}
	return false
}

// IsBSlice reports whether a slice NAL unit is of type B (H.264 section 7.4.3, table 7-6).
func IsBSlice(nal []byte) bool {
	if t := NALType(nal); t != NALSlice && t != NALIDR {
		return false
	}
	r := &bitReader{data: nal[1:min(len(nal), 16)]}
	r.ue() // first_mb_in_slice
	return r.ue()%5 == 1 && !r.short
}

// ParseH264 finds an IDR slice and the size in a sequence parameter set of an access unit with
// start codes.
func ParseH264(frame []byte) FrameHeader {
	var h FrameHeader
	for nal := range NALUnits(frame) {
		switch NALType(nal) {
		case NALIDR:
			h.Key = true
		case NALSPS:
			if sps, err := ParseSPS(nal); err == nil {
				h.Width, h.Height = sps.Width, sps.Height
			}
		}
	}
	return h
}

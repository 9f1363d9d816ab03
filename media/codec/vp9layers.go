package codec

import "encoding/binary"

// A VP9Superframer joins the spatial layers of frames to superframes (VP9 bitstream specification,
// annex B). It hides all layers but the highest: encoders mark every layer as shown, and decoders
// other than libvpx would show each of them. The zero value is ready. One goroutine uses it.
type VP9Superframer struct {
	slots [8]vp9Size // sizes of the reference frames
}

type vp9Size struct{ width, height int }

// Append appends the superframe of these layers, the lowest first. A frame with one layer, or with
// more than 8, is appended as it is.
func (s *VP9Superframer) Append(dst []byte, layers [][]byte) []byte {
	headers := make([]vp9FrameHeader, len(layers))
	for i, layer := range layers {
		headers[i] = s.parse(layer)
	}
	if len(layers) < 2 || len(layers) > 8 {
		for _, layer := range layers {
			dst = append(dst, layer...)
		}
		return dst
	}
	sizes := make([]int, 0, len(layers))
	for i, layer := range layers {
		start := len(dst)
		// Motion vectors of a frame are predicted from the frame before if that is shown and has
		// the same size: only layers of another size than their successor can be hidden.
		if i+1 < len(layers) && headers[i].valid && headers[i+1].valid && headers[i].size != headers[i+1].size {
			dst = headers[i].appendHidden(dst, layer)
		} else {
			dst = append(dst, layer...)
		}
		sizes = append(sizes, len(dst)-start)
	}
	return AppendVP9Index(dst, sizes)
}

// vp9FrameHeader is what rewriting an uncompressed header needs.
type vp9FrameHeader struct {
	valid, key, shown bool
	size              vp9Size // 0 if it is not known
	showFrame         int     // position of show_frame in bits
	end               int     // of the header without trailing bits, in bits
}

// parse parses an uncompressed header and updates the reference frames (VP9 bitstream
// specification, section 6.2).
func (s *VP9Superframer) parse(frame []byte) (h vp9FrameHeader) {
	r := bitReader{data: frame}
	if r.bits(2) != 2 { // frame_marker
		return h
	}
	if r.bits(2) != 0 { // profile
		return h // browsers send 8 bit 4:2:0
	}
	if r.flag() { // show_existing_frame
		return h
	}
	h.key = !r.flag()
	h.showFrame = r.pos
	h.shown = r.flag()
	resilient := r.flag()
	refresh := uint32(0xFF)
	if h.key {
		r.skip(24 + 3 + 1) // frame_sync_code, color_space, color_range
		h.size = readVP9Size(&r)
	} else {
		intraOnly := !h.shown && r.flag()
		if !resilient {
			r.skip(2) // reset_frame_context
		}
		if intraOnly {
			r.skip(24) // frame_sync_code
			refresh = r.bits(8)
			h.size = readVP9Size(&r)
		} else {
			refresh, h.size = s.parseReferences(&r)
		}
	}
	if r.short {
		return vp9FrameHeader{}
	}
	if !resilient {
		r.skip(2) // refresh_frame_context, frame_parallel_decoding_mode
	}
	r.skip(2) // frame_context_idx
	skipVP9LoopFilter(&r)
	r.skip(8) // base_q_idx
	for range 3 {
		if r.flag() { // delta_coded
			r.skip(5)
		}
	}
	skipVP9Segmentation(&r)
	skipVP9Tiles(&r, h.size.width)
	compressed := int(r.bits(16)) // header_size_in_bytes
	h.end = r.pos
	h.valid = !r.short && h.size.width > 0 && compressed > 0 && (h.end+7)/8+compressed <= len(frame)
	for i := range s.slots {
		if refresh>>i&1 != 0 {
			s.slots[i] = h.size
		}
	}
	return h
}

// parseReferences parses refresh_frame_flags up to the interpolation filter of an inter frame.
func (s *VP9Superframer) parseReferences(r *bitReader) (refresh uint32, size vp9Size) {
	refresh = r.bits(8)
	var references [3]uint32
	for i := range references {
		references[i] = r.bits(3)
		r.skip(1) // ref_frame_sign_bias
	}
	found := false
	for _, reference := range references {
		if found = r.flag(); found {
			size = s.slots[reference]
			break
		}
	}
	if found {
		skipVP9RenderSize(r)
	} else {
		size = readVP9Size(r)
	}
	r.skip(1)      // allow_high_precision_mv
	if !r.flag() { // is_filter_switchable
		r.skip(2)
	}
	return refresh, size
}

// readVP9Size reads frame_size and render_size.
func readVP9Size(r *bitReader) vp9Size {
	size := vp9Size{int(r.bits(16)) + 1, int(r.bits(16)) + 1}
	skipVP9RenderSize(r)
	return size
}

func skipVP9RenderSize(r *bitReader) {
	if r.flag() { // render_and_frame_size_different
		r.skip(32)
	}
}

func skipVP9LoopFilter(r *bitReader) {
	r.skip(6 + 3)  // loop_filter_level, loop_filter_sharpness
	if !r.flag() { // loop_filter_delta_enabled
		return
	}
	if !r.flag() { // loop_filter_delta_update
		return
	}
	for range 4 + 2 {
		if r.flag() { // update_ref_delta, update_mode_delta
			r.skip(7)
		}
	}
}

func skipVP9Segmentation(r *bitReader) {
	if !r.flag() { // segmentation_enabled
		return
	}
	if r.flag() { // segmentation_update_map
		for range 7 {
			if r.flag() { // prob_coded
				r.skip(8)
			}
		}
		if r.flag() { // segmentation_temporal_update
			for range 3 {
				if r.flag() {
					r.skip(8)
				}
			}
		}
	}
	if !r.flag() { // segmentation_update_data
		return
	}
	r.skip(1) // segmentation_abs_or_delta_update
	for range 8 {
		for _, bits := range []int{8 + 1, 6 + 1, 2, 0} {
			if r.flag() { // feature_enabled
				r.skip(bits)
			}
		}
	}
}

func skipVP9Tiles(r *bitReader, width int) {
	columns := (width + 63) / 64
	lowest, highest := 0, 1
	for 64<<lowest < columns {
		lowest++
	}
	for columns>>highest >= 4 {
		highest++
	}
	for n := lowest; n < highest-1 && r.flag(); n++ { // increment_tile_cols_log2
	}
	if r.flag() { // tile_rows_log2
		r.skip(1)
	}
}

// appendHidden appends the frame with show_frame 0, after which inter frames have a bit intra_only.
func (h vp9FrameHeader) appendHidden(dst, frame []byte) []byte {
	if !h.shown {
		return append(dst, frame...)
	}
	start, n := len(dst), 0
	write := func(bit uint32) {
		if n%8 == 0 {
			dst = append(dst, 0)
		}
		dst[start+n/8] |= byte(bit) << (7 - n%8)
		n++
	}
	r := bitReader{data: frame}
	for r.pos < h.end {
		switch at := r.pos; {
		case at == h.showFrame:
			r.skip(1)
			write(0)
		case at == h.showFrame+2 && !h.key && n == at:
			write(0) // intra_only
		default:
			write(r.bits(1))
		}
	}
	return append(dst, frame[(h.end+7)/8:]...)
}

// VP9Frames returns the frames of a superframe, and data itself if it is a single frame (VP9
// bitstream specification, annex B).
func VP9Frames(data []byte) [][]byte {
	if len(data) == 0 || data[len(data)-1]&0xE0 != 0xC0 {
		return [][]byte{data}
	}
	marker := data[len(data)-1]
	count, sizeBytes := int(marker&7)+1, int(marker>>3&3)+1
	start := len(data) - 2 - count*sizeBytes
	if start < 0 || data[start] != marker {
		return [][]byte{data}
	}
	var frames [][]byte
	rest, index := data[:start], data[start+1:]
	for range count {
		size := 0
		for i := range sizeBytes {
			size |= int(index[i]) << (8 * i)
		}
		index = index[sizeBytes:]
		if size > len(rest) {
			return [][]byte{data}
		}
		if size > 0 {
			frames = append(frames, rest[:size])
		}
		rest = rest[size:]
	}
	if len(frames) == 0 {
		return [][]byte{data}
	}
	return frames
}

// AppendVP9Index appends the index that makes a superframe of frames with these sizes, of which
// there are at most 8 (VP9 bitstream specification, annex B).
func AppendVP9Index(data []byte, sizes []int) []byte {
	marker := byte(0xC0 | 3<<3 | len(sizes) - 1)
	data = append(data, marker)
	for _, size := range sizes {
		data = binary.LittleEndian.AppendUint32(data, uint32(size)) //nolint:gosec // below media.MaxFrameSize
	}
	return append(data, marker)
}

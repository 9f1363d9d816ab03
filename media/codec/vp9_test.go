package codec_test

import (
	"testing"

	"parley/media/codec"
)

// vp9Key returns the header of a key frame of profile 0.
func vp9Key(width, height uint32) []byte {
	w := &bitWriter{}
	// frame_marker, profile, show_existing_frame, frame_type, show_frame, error_resilient_mode
	w.bits(2, 2).bits(0, 2).bits(0, 1).bits(0, 1).bits(1, 1).bits(0, 1).bits(0x498342, 24)
	w.bits(2, 3).bits(0, 1) // color_space, color_range
	return w.bits(width-1, 16).bits(height-1, 16).bits(0, 8).data
}

// vp9Inter returns the header of an inter frame of profile 0. found is which reference has its
// size, 3 for none.
func vp9Inter(shown bool, found int, width, height uint32) []byte {
	w := &bitWriter{}
	w.bits(2, 2).bits(0, 2).bits(0, 1).bits(1, 1)
	if shown {
		w.bits(1, 1).bits(0, 1)
	} else {
		w.bits(0, 1).bits(0, 1).bits(0, 1) // intra_only
	}
	w.bits(0, 2).bits(0xFF, 8).bits(0, 12) // reset_frame_context, refresh_frame_flags, references
	if w.bits(0, found); found < 3 {
		return w.bits(1, 1).bits(0xFF, 32).data
	}
	return w.bits(width-1, 16).bits(height-1, 16).bits(0, 8).data
}

// superframe joins frames (VP9 annex B).
func superframe(frames ...[]byte) (data []byte) {
	var sizes []int
	for _, f := range frames {
		data, sizes = append(data, f...), append(sizes, len(f))
	}
	return codec.AppendVP9Index(data, sizes)
}

// TestVP9Size: the size of a superframe is that of its highest spatial layer, which is predicted
// from the lower ones.
func TestVP9Size(t *testing.T) {
	key, large := vp9Key(320, 180), vp9Inter(true, 3, 1280, 720)
	for name, test := range map[string]struct {
		data []byte
		want codec.FrameHeader
	}{
		"key frame":            {key, codec.FrameHeader{Key: true, Width: 320, Height: 180}},
		"three layers":         {superframe(key, vp9Inter(true, 3, 640, 360), large), codec.FrameHeader{Key: true, Width: 1280, Height: 720}},
		"lower layers hidden":  {superframe(key, vp9Inter(false, 3, 640, 360)), codec.FrameHeader{Key: true, Width: 640, Height: 360}},
		"size of a reference":  {superframe(key, vp9Inter(true, 1, 0, 0)), codec.FrameHeader{Key: true, Width: 320, Height: 180}},
		"simulcast":            {superframe(key, vp9Key(1280, 720)), codec.FrameHeader{Key: true, Width: 1280, Height: 720}},
		"inter frame":          {large, codec.FrameHeader{}},
		"inter frames":         {superframe(vp9Inter(true, 0, 0, 0), vp9Inter(true, 0, 0, 0)), codec.FrameHeader{}},
		"index beyond frame":   {[]byte{0xDF, 1, 0xDF}, codec.FrameHeader{}},
		"empty":                {nil, codec.FrameHeader{}},
		"truncated last layer": {superframe(key, large[:5]), codec.FrameHeader{Key: true, Width: 320, Height: 180}},
	} {
		if got := codec.ParseVP9(test.data); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
	if frames := codec.VP9Frames(superframe(key, large)); len(frames) != 2 || string(frames[0]) != string(key) || string(frames[1]) != string(large) {
		t.Errorf("got %d frames", len(frames))
	}
}

// interFrame returns an inter frame of profile 0 with filter deltas and segmentation, and three
// bytes of data. The references have its size if width is 0.
func interFrame(shown bool, width, height uint32) []byte {
	w := &bitWriter{}
	w.bits(2, 2).bits(0, 2).bits(0, 1).bits(1, 1)
	if w.bits(1, 1).bits(0, 1); !shown {
		w = &bitWriter{}
		w.bits(2, 2).bits(0, 2).bits(0, 1).bits(1, 1).bits(0, 1).bits(0, 1).bits(0, 1) // intra_only
	}
	w.bits(3, 2).bits(0x04, 8).bits(0x111, 12) // reset_frame_context, refresh_frame_flags, references
	if width == 0 {
		w.bits(1, 1)
	} else {
		w.bits(0, 3).bits(width-1, 16).bits(height-1, 16)
	}
	w.bits(0, 1).bits(1, 1).bits(1, 1)                                    // render size, precision, filter
	w.bits(1, 1).bits(0, 1).bits(0, 2)                                    // contexts
	w.bits(9, 6).bits(1, 3).bits(1, 1).bits(1, 1).bits(1, 1).bits(5, 7)   // loop filter
	w.bits(0, 5).bits(100, 8).bits(0, 1).bits(1, 1).bits(7, 5).bits(0, 1) // and quantization
	w.bits(1, 1).bits(1, 1).bits(0, 7).bits(0, 1).bits(1, 1).bits(0, 1)   // segmentation
	w.bits(1, 1).bits(9, 9).bits(0, 31)                                   // its features
	if width >= 512 {
		w.bits(0, 1) // increment_tile_cols_log2
	}
	w.bits(0, 1).bits(2, 16) // tile_rows_log2, header_size_in_bytes
	return append(w.data, 0xAA, 0xBB, 0xCC)
}

// TestVP9Superframer: all layers but the highest are hidden, unless they have the size of their
// successor.
func TestVP9Superframer(t *testing.T) {
	w := &bitWriter{}
	w.bits(2, 2).bits(0, 2).bits(0, 1).bits(0, 1).bits(1, 1).bits(0, 1).bits(0x498342, 24).bits(2, 4)
	w.bits(319, 16).bits(179, 16).bits(0, 1+2+2)        // size, contexts
	w.bits(9, 6).bits(0, 4).bits(100, 8).bits(0, 3+1+1) // loop filter, quantization, segmentation, tiles
	key := append(w.bits(2, 16).data, 1, 2, 3)
	hidden := append([]byte(nil), key...)
	hidden[0] &^= 2
	var s codec.VP9Superframer
	join := func(layers ...[]byte) [][]byte { return codec.VP9Frames(s.Append(nil, layers)) }
	check := func(name string, got [][]byte, want ...[]byte) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: got %d frames, want %d", name, len(got), len(want))
		}
		for i := range want {
			if string(got[i]) != string(want[i]) {
				t.Errorf("%s: frame %d is % x, want % x", name, i, got[i], want[i])
			}
		}
	}
	top := interFrame(true, 1280, 720)
	check("key frame", join(key, interFrame(true, 640, 360), top), hidden, interFrame(false, 640, 360), top)
	check("one layer", join(interFrame(true, 320, 180)), interFrame(true, 320, 180))
	check("sizes of references", join(interFrame(true, 0, 0), top), interFrame(false, 0, 0), top)
	check("equal sizes", join(top, top), top, top)
	check("hidden already", join(interFrame(false, 640, 360), top), interFrame(false, 640, 360), top)
	check("truncated", join(top[:20], top), top[:20], top)
	check("other data", join([]byte{1}, []byte("abc")), []byte{1}, []byte("abc"))
}

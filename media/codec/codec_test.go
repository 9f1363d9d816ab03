package codec_test

import (
	"slices"
	"testing"

	"parley/media/codec"
	"parley/media/internal/mediatest"

	"github.com/pion/webrtc/v4"
)

func TestMain(m *testing.M) { mediatest.Main(m) }

// FuzzParseFrame: whatever is in a frame, its size is in bounds.
func FuzzParseFrame(f *testing.F) {
	f.Add([]byte("\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00"))
	f.Add([]byte("\x82\x49\x83\x42\x00\x13\xf0\x0e\xf0\x00"))
	f.Add([]byte("\x00\x00\x00\x01\x67\x42\x00\x1e\xf4\x05\x01\xe8\x80\x00\x00\x00\x01\x65\x88"))
	f.Add([]byte("\x12\x00\x0a\x0b\x00\x00\x00\x04\x3c\xff\xbc\xff\xf9\x80\x40\x32\x02\x10\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeH264, webrtc.MimeTypeAV1} {
			if p := codec.ParseFrame(mime, data); p.Width < 0 || p.Height < 0 || p.Width > 1<<16 || p.Height > 1<<16 {
				t.Errorf("%s: %+v", mime, p)
			}
			if err := codec.CheckSendable(mime, data); err != nil && err.Error() == "" {
				t.Errorf("%s: error without text", mime)
			}
		}
		codec.AV1DecoderConfig(data)
	})
}

// TestAppendAccessUnit: an IDR picture has parameter sets, in the order that the standard asks for
// (H.264 section 7.4.1.2.3).
func TestAppendAccessUnit(t *testing.T) {
	const aud, sps, pps, sei, idr, slice = "\x09\xf0", "\x67\x42\xc0\x0a", "\x68\xce", "\x06\x01", "\x65\x88", "\x41\x9a"
	newSPS := "\x67\x42\xc0\x1e"
	var sets codec.ParameterSets
	for _, test := range []struct{ unit, want []string }{
		{[]string{idr}, []string{idr}},
		{[]string{sps, pps, idr}, []string{sps, pps, idr}},
		{[]string{slice}, []string{slice}},
		{[]string{"", aud, sei, idr, idr}, []string{aud, sps, pps, sei, idr, idr}},
		{[]string{aud, sps, idr}, []string{aud, sps, pps, idr}},
		{[]string{newSPS, idr}, []string{newSPS, idr}}, // the PPS belonged to the other SPS
		{[]string{pps, idr}, []string{newSPS, pps, idr}},
	} {
		var unit [][]byte
		for _, nal := range test.unit {
			unit = append(unit, []byte(nal))
		}
		var got []string
		for nal := range codec.NALUnits(sets.AppendAccessUnit(nil, slices.Values(unit))) {
			got = append(got, string(nal))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q becomes %q, want %q", test.unit, got, test.want)
		}
	}
}

// FuzzAVCC: access units with lengths become byte streams, or an error.
func FuzzAVCC(f *testing.F) {
	f.Add([]byte("\x01\x42\xc0\x1e\xff\xe1\x00\x03\x67\x42\x00\x01\x00\x02\x68\xce"), []byte("\x00\x00\x00\x02\x65\x88"))
	f.Fuzz(func(t *testing.T, config, unit []byte) {
		if a, err := codec.ParseAVCC(config); err == nil {
			if out, err := a.ToAnnexB(unit); err == nil {
				codec.AVCDecoderConfig(out)
			}
		}
		codec.AVCDecoderConfig(unit)
	})
}

// TestSPS reads sets of several encoders' making, written bit by bit.
func TestSPS(t *testing.T) {
	plain := func(mbsWide, mbsHigh uint32) *bitWriter {
		w := &bitWriter{}
		w.bits(66, 8).bits(0, 8).bits(30, 8)                                 // profile, flags, level
		w.ue(0).ue(0).ue(2).ue(1).bits(0, 1).ue(mbsWide - 1).ue(mbsHigh - 1) // to the size
		return w.bits(1, 1).bits(1, 1)                                       // frames only, direct 8x8
	}
	for _, test := range []struct {
		name          string
		w             *bitWriter
		width, height int
		rate          float64
	}{
		{"no crop, no VUI", plain(20, 15).bits(0, 1).bits(0, 1), 320, 240, 0},
		{"1080 lines", plain(120, 68).bits(1, 1).ue(0).ue(0).ue(0).ue(4).bits(0, 1), 1920, 1080, 0},
		{"timing", plain(20, 15).bits(0, 1).bits(1, 1).bits(0, 4).bits(1, 1).bits(1001, 32).bits(60000, 32), 320, 240, 60000.0 / 1001 / 2},
		{"extended aspect ratio", plain(20, 15).bits(0, 1).bits(1, 1).bits(1, 1).bits(255, 8).bits(3, 32).bits(0, 3).bits(1, 1).bits(1, 32).bits(50, 32), 320, 240, 25},
	} {
		nal := append([]byte{0x67}, escape(test.w.bits(1, 1).data)...)
		s, err := codec.ParseSPS(nal)
		if err != nil || s.Width != test.width || s.Height != test.height || s.FrameRate != test.rate || s.Interlaced {
			t.Errorf("%s: %+v, %v", test.name, s, err)
		}
		for cut := range len(nal) {
			if s, err := codec.ParseSPS(nal[:cut]); err == nil && (s.Width != test.width || s.Height != test.height) {
				t.Errorf("%s cut at %d: %+v", test.name, cut, s)
			}
		}
	}
}

// TestSPSReordered: everything in a sequence parameter set that rules B-frames out.
func TestSPSReordered(t *testing.T) {
	sps := func(profile, flags, picOrderType uint32) *bitWriter {
		w := &bitWriter{}
		w.bits(profile, 8).bits(flags, 8).bits(30, 8).ue(0).ue(0).ue(picOrderType)
		if picOrderType == 0 {
			w.ue(0) // log2_max_pic_order_cnt_lsb_minus4
		}
		return w.ue(1).bits(0, 1).ue(19).ue(14).bits(1, 1).bits(1, 1).bits(0, 1) // to frame_cropping_flag
	}
	vui := func(w *bitWriter, reorderFrames uint32) *bitWriter {
		w.bits(1, 1).bits(0, 5)                                     // to timing_info_present_flag
		w.bits(1, 1).ue(1).bits(0, 8)                               // HRD parameters of two schedules
		w.ue(9).ue(9).bits(1, 1).ue(9).ue(9).bits(1, 1).bits(0, 20) // of each, and lengths
		w.bits(0, 1).bits(0, 1).bits(0, 1)                          // no VCL HRD, low_delay, pic_struct
		return w.bits(1, 1).bits(1, 1).ue(2).ue(1).ue(11).ue(11).ue(reorderFrames).ue(4)
	}
	for name, test := range map[string]struct {
		w    *bitWriter
		want bool
	}{
		"main":                       {sps(77, 0, 0).bits(0, 1), true},
		"main, order type 2":         {sps(77, 0, 2).bits(0, 1), false},
		"baseline":                   {sps(66, 0, 0).bits(0, 1), false},
		"main, constraint_set5_flag": {sps(77, 0x0C, 0).bits(0, 1), false},
		"no frame is reordered":      {vui(sps(77, 0, 0), 0), false},
		"two frames are reordered":   {vui(sps(77, 0, 0), 2), true},
	} {
		s, err := codec.ParseSPS(append([]byte{0x67}, escape(test.w.bits(1, 1).data)...))
		if err != nil || s.Reordered != test.want || s.Width != 320 {
			t.Errorf("%s: %+v, %v; want Reordered %v", name, s, err, test.want)
		}
	}
}

// bitWriter writes what bitReader reads.
type bitWriter struct {
	data []byte
	n    int
}

func (w *bitWriter) bits(v uint32, n int) *bitWriter {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
	return w
}

func (w *bitWriter) ue(v uint32) *bitWriter {
	n := 0
	for (v+1)>>(n+1) != 0 {
		n++
	}
	return w.bits(0, n).bits(v+1, n+1)
}

// escape puts emulation prevention bytes in.
func escape(b []byte) (out []byte) {
	zeros := 0
	for _, v := range b {
		if zeros >= 2 && v <= 3 {
			out, zeros = append(out, 3), 0
		}
		if out = append(out, v); v == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return out
}

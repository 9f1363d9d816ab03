package keyframe

import (
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// TestStarts: only the first packet that a payloader makes of a key frame starts one.
func TestStarts(t *testing.T) {
	vp8 := func(first byte) []byte { return append([]byte{first, 0, 0}, make([]byte, 3000)...) }
	h264 := func(units ...byte) (b []byte) {
		for _, unit := range units {
			b = append(append(b, 0, 0, 0, 1, 0x60|unit), make([]byte, 3000)...)
		}
		return b
	}
	for name, c := range map[string]struct {
		mime        string
		payloader   rtp.Payloader
		key, others []byte
	}{
		"VP8":         {webrtc.MimeTypeVP8, &codecs.VP8Payloader{}, vp8(0x10), vp8(0x11)},
		"VP8 with ID": {webrtc.MimeTypeVP8, &codecs.VP8Payloader{EnablePictureID: true}, vp8(0x10), vp8(0x11)},
		"H264":        {"video/h264", &codecs.H264Payloader{DisableStapA: true}, h264(5), h264(9, 6, 1)},
	} {
		for i, p := range c.payloader.Payload(1200, c.key) {
			if Starts(c.mime, p) != (i == 0) {
				t.Errorf("%s: packet %d of a key frame", name, i)
			}
		}
		for i, p := range c.payloader.Payload(1200, c.others) {
			if Starts(c.mime, p) {
				t.Errorf("%s: packet %d of a frame that is no key frame", name, i)
			}
		}
	}
	for name, c := range map[string]struct {
		mime    string
		payload []byte
		want    bool
	}{
		"empty":                     {webrtc.MimeTypeVP8, nil, false},
		"VP8, cut off":              {webrtc.MimeTypeVP8, []byte{0x90, 0x80, 0x80}, false},
		"H264, parameter sets":      {webrtc.MimeTypeH264, []byte{0x67, 1}, true},
		"H264, aggregated":          {webrtc.MimeTypeH264, []byte{0x78, 0, 2, 9, 9, 0, 2, 0x67, 1}, true},
		"H264, aggregated, no key":  {webrtc.MimeTypeH264, []byte{0x78, 0, 2, 9, 9, 0, 2, 0x61, 1}, false},
		"H264, aggregated, cut off": {webrtc.MimeTypeH264, []byte{0x78, 0xff, 0xff, 9}, false},
		"H264, middle of a key":     {webrtc.MimeTypeH264, []byte{0x7c, 0x05, 1}, false},
		"VP9, predicted":            {webrtc.MimeTypeVP9, []byte{0xc8, 0x80, 1}, false},
		"VP9":                       {webrtc.MimeTypeVP9, []byte{0x88, 0x80, 1}, true},
		"VP9, an upper layer":       {webrtc.MimeTypeVP9, []byte{0xa8, 0x80, 1, 0x02}, false},
		"VP9, the lowest layer":     {webrtc.MimeTypeVP9, []byte{0xa8, 0x80, 1, 0x01}, true},
		"AV1":                       {webrtc.MimeTypeAV1, []byte{0x18, 0x0a}, true},
		"AV1, later":                {webrtc.MimeTypeAV1, []byte{0x10, 0x32}, false},
		"what is not known":         {"video/H266", []byte{1}, true},
	} {
		if got := Starts(c.mime, c.payload); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

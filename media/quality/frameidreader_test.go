package quality

import (
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/testsignal"

	"github.com/pion/webrtc/v4"
)

// vp8Frame returns a VP8 frame that arrived at a time.
func vp8Frame(data []byte, at time.Duration) media.Frame {
	h := codec.ParseVP8(data)
	return media.Frame{Kind: webrtc.RTPCodecTypeVideo, Codec: webrtc.MimeTypeVP8, Data: data, Key: h.Key, Width: h.Width, Height: h.Height, Arrival: time.Unix(1000, 0).Add(at)}
}

// TestFrameIDReader: frame IDs are read at 30 frames/s at most.
func TestFrameIDReader(t *testing.T) {
	encoder, err := testsignal.NewVP8Encoder(0, 15)
	if err != nil {
		t.Fatal(err)
	}
	pattern, err := testsignal.NewPattern(160, 120)
	if err != nil {
		t.Fatal(err)
	}
	var r FrameIDReader
	for n := range uint32(10) {
		data, err := encoder.Encode(pattern.Render(100+n, 0, time.Unix(0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Duration{0, time.Millisecond} {
			if err := r.WriteFrame(vp8Frame(data, time.Duration(n)*time.Second/30+at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := r.Stats(); s.Count != 10 || s.Latest != 109 {
		t.Errorf("got %+v", s)
	}
}

func FuzzFrameIDReader(f *testing.F) {
	f.Add([]byte("\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r FrameIDReader
		if err := r.WriteFrame(vp8Frame(data, 0)); err != nil {
			t.Error(err)
		}
	})
}

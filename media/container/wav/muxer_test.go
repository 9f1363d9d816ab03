package wav

import (
	"bytes"
	"math"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// buffer is a media.Output in memory.
type buffer struct {
	bytes.Buffer
	seekable bool
}

func (b *buffer) Size() int64    { return int64(b.Len()) }
func (b *buffer) Seekable() bool { return b.seekable }
func (b *buffer) Patch(offset int64, data []byte) error {
	if b.seekable {
		copy(b.Bytes()[offset:], data)
	}
	return nil
}

// TestMuxer reads what the muxer writes: an odd number of samples, with a gap, to a file and to a
// pipe.
func TestMuxer(t *testing.T) {
	for mime, decode := range map[string]func(byte) float32{webrtc.MimeTypePCMU: codec.DecodeMuLaw, webrtc.MimeTypePCMA: codec.DecodeALaw} {
		for _, seekable := range []bool{true, false} {
			out := &buffer{seekable: seekable}
			m, err := NewMuxer(out, []media.OutputTrack{{MIME: mime}})
			if err != nil {
				t.Fatal(err)
			}
			packet := bytes.Repeat([]byte{0x2A}, 161)
			for _, at := range []time.Duration{0, 21 * time.Millisecond, 100 * time.Millisecond} { // 0, 161, 800
				if err := m.WriteFrame(0, media.Frame{Data: packet}, at); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.Finish(0); err != nil {
				t.Fatal(err)
			}
			r, err := open(&out.Buffer)
			if err != nil {
				t.Fatal(err)
			}
			all, err := readAll(r)
			if err != nil || r.SampleRate() != 8000 || r.Channels() != 1 || len(all) != 961 {
				t.Fatalf("%s: %d samples of %d channels at %d Hz, %v", mime, len(all), r.Channels(), r.SampleRate(), err)
			}
			for i, s := range all[:961] {
				value := decode(0x2A)
				if i >= 322 && i < 800 {
					value = 0
				}
				if math.Abs(float64(s-value)) > 0.001 {
					t.Fatalf("%s: sample %d is %v, want %v", mime, i, s, value)
				}
			}
		}
	}
}

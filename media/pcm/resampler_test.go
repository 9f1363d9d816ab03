package pcm

import (
	"math"
	"testing"
)

// TestResampler checks that a tone is kept with a signal-to-noise ratio of 60 dB, and that aliases
// are removed.
func TestResampler(t *testing.T) {
	for _, test := range []struct {
		from, to int
		hz       float64
	}{{44100, 48000, 1000}, {22050, 48000, 9000}, {8000, 48000, 3000}, {96000, 48000, 15000}, {48000, 48000, 440}} {
		r := NewResampler(test.from, test.to, 1)
		var out []float32
		for n := 0; n < test.from; n += 1000 {
			var in []float32
			for i := n; i < min(n+1000, test.from); i++ {
				in = append(in, float32(math.Sin(2*math.Pi*test.hz*float64(i)/float64(test.from))))
			}
			out = r.Append(out, in)
		}
		out = r.Flush(out)
		if d := len(out) - test.to; d < -2 || d > 2 {
			t.Errorf("%+v: %d samples of %d", test, len(out), test.to)
		}
		signal, noise := 0.0, 0.0
		for i := 1000; i < len(out)-1000; i++ {
			want := math.Sin(2 * math.Pi * test.hz * float64(i) / float64(test.to))
			signal += want * want
			noise += (float64(out[i]) - want) * (float64(out[i]) - want)
		}
		if db := 10 * math.Log10(signal/(noise+1e-12)); db < 60 {
			t.Errorf("%+v: %.1f dB", test, db)
		}
	}
	r := NewResampler(96000, 48000, 1)
	var out []float32
	for i := range 96000 {
		out = r.Append(out, []float32{float32(math.Sin(2 * math.Pi * 30000 * float64(i) / 96000))})
	}
	for i, v := range out[1000 : len(out)-1000] {
		if math.Abs(float64(v)) > 0.001 {
			t.Fatalf("sample %d of a tone of 30 kHz is %v, want silence", i, v)
		}
	}
}

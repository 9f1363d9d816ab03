//go:build !quick

package pcm

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"parley/media/internal/mediatest"
)

// TestMixerLevels mixes a tone in one channel of several layouts as ffmpeg does.
func TestMixerLevels(t *testing.T) {
	for _, test := range []struct{ layout, channel string }{
		{"quad", "BL"}, {"5.0", "FC"}, {"5.1", "FC"}, {"5.1", "FL"}, {"5.1", "LFE"}, {"5.1", "BR"}, {"5.1(side)", "SL"}, {"6.1", "BC"}, {"7.1", "BL"},
	} {
		path := filepath.Join(t.TempDir(), "a.wav")
		mediatest.FFmpeg(t, "-f", "lavfi", "-i", "sine=frequency=440:duration=0.5:sample_rate=48000", "-af", "pan="+test.layout+"|"+test.channel+"=c0", path)
		got := level(stereo(t, path), 2)
		raw := mediatest.FFmpeg(t, "-i", path, "-ac", "2", "-c:a", "pcm_f32le", "-f", "f32le", "-")
		want := make([]float32, len(raw)/4)
		for i := range want {
			want[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		levels := level(want, 2)
		if max(levels[0], levels[1]) < -40 && test.channel != "LFE" {
			t.Fatalf("%s in %s: ffmpeg made silence", test.channel, test.layout)
		}
		for side, want := range levels {
			if math.Abs(got[side]-want) > 0.1 {
				t.Errorf("%s in %s: level of channel %d is %.1f dB, want %.1f", test.channel, test.layout, side, got[side], want)
			}
		}
		// Mono, as a receiver mixes it.
		mono := level(toMono(stereo(t, path)), 1)[0]
		if test.channel == "FC" && math.Abs(mono+21.1) > 4.5 {
			t.Errorf("%s in %s: level of mono is %.1f dB, want -21.1", test.channel, test.layout, mono)
		}
	}
}

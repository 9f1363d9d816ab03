package pcm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"parley/media"
	"parley/media/container/wav"
	"parley/media/internal/mediatest"
)

// stereo reads a WAV file and mixes it to stereo.
func stereo(t *testing.T, path string) []float32 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := wav.NewReader(media.Input{Reader: bufio.NewReader(bytes.NewReader(data))})
	if err != nil {
		t.Fatal(err)
	}
	in, err := w.Append(nil, w.SampleRate())
	if err != nil {
		t.Fatal(err)
	}
	return NewMixer(w.Channels(), w.ChannelMask()).Append(nil, in)
}

// level returns the RMS level of each channel in dB, and at least -120.
func level(samples []float32, channels int) []float64 {
	all := make([]float64, channels)
	for i, v := range samples {
		all[i%channels] += float64(v) * float64(v)
	}
	for i := range all {
		all[i] = 10 * math.Log10(all[i]/float64(len(samples)/channels)+1e-12)
	}
	return all
}

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

// toMono averages left and right.
func toMono(stereo []float32) []float32 {
	mono := make([]float32, len(stereo)/2)
	for i := range mono {
		mono[i] = (stereo[2*i] + stereo[2*i+1]) / 2
	}
	return mono
}

// TestMixerChannels mixes any number of channels with any mask, at most with the sum of all gains.
func TestMixerChannels(t *testing.T) {
	for channels := 1; channels <= 32; channels++ {
		for _, mask := range []uint32{0, 1<<channels - 1, 0xFFFFFFFF} {
			m := NewMixer(channels, mask)
			in := make([]float32, 2*channels)
			for i := range in {
				in[i] = 1
			}
			out := m.Append(nil, in)
			if len(out) != 2*m.Channels() || m.Channels() != min(2, channels) {
				t.Errorf("%d channels: %d samples in %d channels", channels, len(out), m.Channels())
			}
			for _, v := range out {
				if v < 0.9 || v > 10 {
					t.Errorf("%d channels, mask %#x: sample is %v", channels, mask, v)
				}
			}
		}
	}
}

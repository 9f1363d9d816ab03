package pcm

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"testing"

	"parley/media"
	"parley/media/container/wav"
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

package testsignal

import (
	"math"

	"parley/media"
)

const (
	// DefaultFrequency is the frequency of the test tone in Hz.
	DefaultFrequency = 440.0
	// MinFrequency and MaxFrequency bound the frequency of a Tone in Hz.
	MinFrequency = 20.0
	MaxFrequency = 20000.0

	toneAmplitude = 0.25 // of full scale, -12 dBFS peak
)

// A Tone is a sine of -12 dBFS, sampled at 48 kHz.
type Tone struct {
	// Frequency in Hz, from MinFrequency to MaxFrequency.
	Frequency float64
	// Timecode adds the timecode to the tone.
	Timecode bool
	// Start is the first sample that is not silent.
	Start uint64
}

// Fill computes the samples from sample number first on. pcm is interleaved; all channels are
// equal. The phase is a function of the sample number, reduced to one period before the
// multiplication by 2π, so that it neither jumps between calls nor loses precision in a long call.
func (t Tone) Fill(pcm []float32, channels int, first uint64) {
	for i := range len(pcm) / channels {
		sample := float32(0)
		if n := first + uint64(i); n >= t.Start {
			_, phase := math.Modf(float64(n) * (t.Frequency / media.OpusClockRate))
			sample = float32(toneAmplitude * math.Sin(2*math.Pi*phase))
			if t.Timecode {
				sample += float32(timecodeSample(n))
			}
		}
		for c := range channels {
			pcm[i*channels+c] = sample
		}
	}
}

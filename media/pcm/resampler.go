// Package pcm converts audio samples to another rate or number of channels.
package pcm

import "math"

// Resampler changes the sample rate by a windowed sinc filter. It attenuates what is above half of
// the lower rate by 70 dB.
type Resampler struct {
	channels int
	half     int     // width of the filter in samples of the input, to each side
	cutoff   float64 // of the rate of the input
	table    []float64

	history  []float32 // samples of the input from index base on
	base     int64
	position int64 // index of the next sample of the output
	from, to int64 // rates
}

const (
	sincZeros = 24  // zero crossings to each side
	sincSteps = 256 // entries of the table for one of them
)

// NewResampler returns a resampler of interleaved samples from one rate to another, in Hz, with 1
// or 2 channels.
func NewResampler(from, to, channels int) *Resampler {
	r := &Resampler{channels: channels, from: int64(from), to: int64(to)}
	if from == to {
		return r
	}
	r.cutoff = min(1, float64(to)/float64(from)) * 0.95
	r.half = int(math.Ceil(sincZeros / r.cutoff))
	r.table = make([]float64, sincZeros*sincSteps+2)
	for i := range r.table[:sincZeros*sincSteps] {
		x := float64(i) / sincSteps
		window := 0.42 + 0.5*math.Cos(math.Pi*x/sincZeros) + 0.08*math.Cos(2*math.Pi*x/sincZeros) // Blackman
		sinc := 1.0
		if x != 0 {
			sinc = math.Sin(math.Pi*x) / (math.Pi * x)
		}
		r.table[i] = sinc * window * r.cutoff
	}
	r.history = make([]float32, r.half*channels) // silence before the start
	r.base = -int64(r.half)
	return r
}

// Append resamples in and appends the result to out.
func (r *Resampler) Append(out, in []float32) []float32 {
	if r.table == nil {
		return append(out, in...)
	}
	r.history = append(r.history, in...)
	end := r.base + int64(len(r.history)/r.channels)
	for {
		// Integers, so that rounding errors do not add up.
		center := r.position * r.from / r.to
		fraction := float64(r.position*r.from%r.to) / float64(r.to)
		if center+int64(r.half)+1 >= end {
			break
		}
		out = r.sample(out, center, fraction)
		r.position++
	}
	keep := r.position*r.from/r.to - int64(r.half)
	if drop := int(keep-r.base) * r.channels; drop > 0 {
		r.history = append(r.history[:0], r.history[drop:]...)
		r.base = keep
	}
	return out
}

// Flush appends the samples that the filter still holds, at the end of the input.
func (r *Resampler) Flush(out []float32) []float32 {
	if r.table == nil {
		return out
	}
	return r.Append(out, make([]float32, (r.half+1)*r.channels))
}

func (r *Resampler) sample(out []float32, center int64, fraction float64) []float32 {
	var sum [2]float64
	for i := -r.half + 1; i <= r.half; i++ {
		x := math.Abs(float64(i)-fraction) * r.cutoff
		if x >= sincZeros {
			continue
		}
		at := x * sincSteps
		n := int(at)
		weight := r.table[n] + (at-float64(n))*(r.table[n+1]-r.table[n])
		sample := int(center+int64(i)-r.base) * r.channels
		for c := range r.channels {
			sum[c] += weight * float64(r.history[sample+c])
		}
	}
	for c := range r.channels {
		out = append(out, float32(sum[c]))
	}
	return out
}

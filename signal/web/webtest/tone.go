package webtest

import (
	"math"
	"math/cmplx"

	"gonum.org/v1/gonum/dsp/fourier"
)

const (
	toneWindow = 8192
	silence    = 1e-3 // amplitude; a fake microphone is above a tenth
)

// Tone is the loudest frequency in the samples, in Hz, or 0 if all is silent.
// Spectra of overlapping windows are summed, so that a short beep now and then
// counts as much as it is loud.
func Tone(samples []float64, rate int) float64 {
	loudest := 0.0
	for _, s := range samples {
		loudest = max(loudest, math.Abs(s))
	}
	if loudest < silence {
		return 0
	}
	fft := fourier.NewFFT(toneWindow)
	power := make([]float64, toneWindow/2+1)
	window := make([]float64, toneWindow)
	for from := 0; from < len(samples); from += toneWindow / 2 {
		clear(window)
		for i, s := range samples[from:min(from+toneWindow, len(samples))] {
			window[i] = s * (0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/toneWindow)) // Hann
		}
		for i, c := range fft.Coefficients(nil, window) {
			power[i] += cmplx.Abs(c) * cmplx.Abs(c)
		}
	}
	return peak(power) * float64(rate) / toneWindow
}

// peak is the bin of the maximum, refined by the parabola through its neighbours.
func peak(power []float64) float64 {
	best := 1 // not the constant part
	for i := 2; i < len(power)-1; i++ {
		if power[i] > power[best] {
			best = i
		}
	}
	a, b, c := math.Log(power[best-1]+1e-30), math.Log(power[best]+1e-30), math.Log(power[best+1]+1e-30)
	if bend := a - 2*b + c; bend != 0 {
		return float64(best) + 0.5*(a-c)/bend
	}
	return float64(best)
}

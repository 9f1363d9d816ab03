package source

import (
	"fmt"
	"math"
	"math/cmplx"

	"parley/media"
	"parley/media/codec"
	"parley/media/testsignal"

	"github.com/thesyncim/gopus"
	"gonum.org/v1/gonum/dsp/fourier"
)

const (
	silence = -100.0 // dBFS; the level where there is nothing
	quiet   = -60.0  // below, no tone is looked for

	earWindow = media.OpusClockRate     // samples that are listened to: one second, so that a bin of the spectrum is 1 Hz
	earStep   = media.OpusClockRate / 2 // new samples between two looks
	earBudget = media.OpusClockRate * 3 / 2
	earBurst  = media.OpusClockRate * 2

	// A tone is a peak that has this share of the energy within toneWidth Hz of it. The beep of Chromium's fake
	// microphone lasts 20 ms twice a second, which spreads it over 50 Hz to both sides.
	toneShare = 0.3
	toneWidth = 50
)

// ear decodes Opus and finds the tone in it. What it costs is bounded: it decodes no more than one and a half times
// the audio that a second has.
type ear struct {
	decoder  *gopus.Decoder
	fft      *fourier.FFT
	pcm      []float32
	ring     []float64 // the latest samples
	next     int       // where in ring the next sample goes
	fresh    int       // samples since the last look
	total    int       // samples in ring
	expected uint32    // timestamp after the last packet
	started  bool
	budget   float64 // samples that may be decoded now
	ordered  []float64
	spectrum []complex128
	samples  uint64  // decoded ever
	energy   float64 // their squares, times the length of one in seconds
}

func newEar() (*ear, error) {
	decoder, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: media.OpusClockRate, Channels: 1})
	if err != nil {
		return nil, fmt.Errorf("make an Opus decoder: %w", err)
	}
	return &ear{
		decoder:  decoder,
		fft:      fourier.NewFFT(earWindow),
		pcm:      make([]float32, media.OpusClockRate*120/1000), // the longest packet, RFC 6716 section 3.2.5
		ring:     make([]float64, earWindow),
		ordered:  make([]float64, earWindow),
		spectrum: make([]complex128, earWindow/2+1),
		budget:   earBurst,
	}, nil
}

// hear takes a packet, elapsed seconds after the one before. Now and then it says what it has heard.
func (e *ear) hear(packet []byte, timestamp uint32, elapsed float64) (tone, level float64, news bool) {
	e.budget = math.Min(earBurst, e.budget+elapsed*earBudget)
	samples := codec.OpusPacketSamples(packet)
	if samples == 0 || float64(samples) > e.budget {
		return 0, 0, false
	}
	e.budget -= float64(samples)
	e.pause(timestamp)
	n := e.decode(packet)
	for _, sample := range e.pcm[:n] {
		e.put(float64(sample))
		e.energy += float64(sample) * float64(sample) / media.OpusClockRate
	}
	e.samples += uint64(n)
	e.expected, e.started = timestamp+uint32(samples), true //nolint:gosec // at most 5760
	if e.fresh < earStep {
		return 0, 0, false
	}
	e.fresh = 0
	tone, level = e.look()
	return tone, level, true
}

// pause puts silence where a sender that had nothing to say sent nothing (RFC 7587 section 3.1.3).
func (e *ear) pause(timestamp uint32) {
	missing := int32(timestamp - e.expected) //nolint:gosec // wraps by design
	if !e.started || missing <= 0 {
		return
	}
	for range min(missing, earWindow) {
		e.put(0)
	}
}

// decode returns the number of samples in e.pcm. The packet comes from a stranger, so that a decoder that panics must
// not take the call with it.
func (e *ear) decode(packet []byte) (n int) {
	defer func() {
		if recover() != nil {
			n = 0
		}
	}()
	n, err := e.decoder.Decode(packet, e.pcm)
	if err != nil {
		return 0
	}
	return n
}

func (e *ear) put(sample float64) {
	if math.IsNaN(sample) || math.IsInf(sample, 0) {
		sample = 0
	}
	e.ring[e.next] = sample
	e.next = (e.next + 1) % len(e.ring)
	e.fresh++
	e.total = min(e.total+1, len(e.ring))
}

// look finds the level and the tone of what is in the ring.
func (e *ear) look() (tone, level float64) {
	var energy float64
	n := copy(e.ordered, e.ring[e.next:])
	copy(e.ordered[n:], e.ring[:e.next])
	for _, sample := range e.ordered {
		energy += sample * sample
	}
	level = math.Max(silence, 10*math.Log10(energy/float64(max(1, e.total))+1e-12))
	if level < quiet {
		return 0, level
	}
	e.fft.Coefficients(e.spectrum, e.taper(e.ordered))
	return e.peak(), level
}

// taper lets the filled part of the samples fade in and out (a Hann window), so that the cut at both ends does not
// spread the peak.
func (e *ear) taper(samples []float64) []float64 {
	filled := samples[len(samples)-e.total:]
	for i := range filled {
		filled[i] *= 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(filled)))
	}
	return samples
}

// peak is the frequency of the strongest bin if it stands out, refined by its neighbours.
func (e *ear) peak() float64 {
	const low = int(testsignal.MinFrequency)
	best, total := low, 0.0
	for i := low; i <= int(testsignal.MaxFrequency); i++ {
		total += power(e.spectrum[i])
		if power(e.spectrum[i]) > power(e.spectrum[best]) {
			best = i
		}
	}
	near := 0.0
	for i := max(low, best-toneWidth); i <= min(int(testsignal.MaxFrequency), best+toneWidth); i++ {
		near += power(e.spectrum[i])
	}
	if total == 0 || near < toneShare*total {
		return 0
	}
	left, mid, right := cmplx.Abs(e.spectrum[best-1]), cmplx.Abs(e.spectrum[best]), cmplx.Abs(e.spectrum[best+1])
	if curve := left - 2*mid + right; curve < 0 {
		return float64(best) + (left-right)/curve/2
	}
	return float64(best)
}

func power(c complex128) float64 { return real(c)*real(c) + imag(c)*imag(c) }

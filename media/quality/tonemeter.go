package quality

import (
	"math"
	"math/cmplx"
	"sync"
	"time"

	"parley/media"
	"parley/media/testsignal"

	"gonum.org/v1/gonum/dsp/fourier"
)

const (
	// Silence is the level of digital silence in dBFS.
	Silence = -100.0

	minToneLevel = -60.0                   // dBFS; no tone is searched below
	toneWindow   = media.OpusClockRate     // samples of a spectrum: one second, so that a bin is 1 Hz
	toneStep     = media.OpusClockRate / 2 // new samples between two spectra

	// decodeRate and decodeBurst bound the samples that are decoded per second, and at once.
	decodeRate  = media.OpusClockRate * 3 / 2
	decodeBurst = media.OpusClockRate * 2

	// A tone is a peak that has this share of the energy within toneWidth Hz of it. The beep of
	// Chromium's fake microphone takes 20 ms twice a second, which spreads it over 50 Hz to both
	// sides.
	toneShare = 0.3
	toneWidth = 50
)

// ToneStats are the measurements of a ToneMeter.
type ToneStats struct {
	// Tone is the frequency of the strongest tone of the last second in Hz, 0 if there is silence
	// or no single tone.
	Tone float64
	// Level is the level of the last second in dBFS: the test tone is -15, silence is Silence.
	Level float64
	// Samples were decoded, at 48 kHz. Energy is the sum of their squares, with 1 as full scale,
	// times their duration in seconds.
	Samples uint64
	Energy  float64
}

// A ToneMeter decodes the Opus or G.711 of one track and measures its level and tone. It implements
// media.FrameSink; other codecs are not measured. It decodes at most one and a half times the audio
// of real time.
type ToneMeter struct {
	mu      sync.Mutex // guards stats and updated
	stats   ToneStats
	updated time.Time // of Tone and Level

	// WriteFrame owns all fields below.
	codec    string
	decoder  *audioDecoder // nil for a codec that is not decoded
	arrival  time.Time     // of the latest packet
	expected uint32        // timestamp after it
	started  bool
	budget   float64 // samples that may be decoded now

	fft      *fourier.FFT
	ring     []float64 // the latest samples
	next     int       // index in ring of the next sample
	fresh    int       // samples since the latest spectrum
	filled   int       // samples in ring
	ordered  []float64
	spectrum []complex128
}

// NewToneMeter returns a ToneMeter before its first frame.
func NewToneMeter() *ToneMeter {
	return &ToneMeter{
		stats:    ToneStats{Level: Silence},
		fft:      fourier.NewFFT(toneWindow),
		ring:     make([]float64, toneWindow),
		ordered:  make([]float64, toneWindow),
		spectrum: make([]complex128, toneWindow/2+1),
		budget:   decodeBurst,
	}
}

// Stats returns the measurements so far. It may be called from any goroutine.
func (m *ToneMeter) Stats() ToneStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	if time.Since(m.updated) > time.Second {
		s.Tone, s.Level = 0, Silence
	}
	return s
}

// WriteFrame implements media.FrameSink.
func (m *ToneMeter) WriteFrame(f media.Frame) error {
	if f.Codec != m.codec {
		m.codec, m.started = f.Codec, false
		m.decoder, _ = newAudioDecoder(f.Codec)
	}
	if !m.arrival.IsZero() {
		m.budget = math.Min(decodeBurst, m.budget+f.Arrival.Sub(m.arrival).Seconds()*decodeRate)
	}
	m.arrival = f.Arrival
	if m.decoder == nil {
		return nil
	}
	duration := m.decoder.duration(f.Data)
	cost := float64(duration * m.decoder.scale())
	if duration == 0 || cost > m.budget {
		return nil
	}
	m.budget -= cost
	if missing := int32(f.Timestamp - m.expected); m.started && missing > 0 { //nolint:gosec // wraps by design
		// A sender that has nothing to send pauses (RFC 7587 section 3.1.3).
		for range min(int(missing)*m.decoder.scale(), toneWindow) {
			m.addSample(0)
		}
	}
	m.expected, m.started = f.Timestamp+uint32(duration), true //nolint:gosec // small
	samples := m.decoder.decode(f.Data)
	energy := 0.0
	for _, sample := range samples {
		m.addSample(float64(sample))
		energy += float64(sample) * float64(sample) / media.OpusClockRate
	}
	tone, level, measured := 0.0, 0.0, m.fresh >= toneStep
	if measured {
		m.fresh = 0
		tone, level = m.measure()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Samples += uint64(len(samples))
	m.stats.Energy += energy
	if measured {
		m.stats.Tone, m.stats.Level, m.updated = tone, level, time.Now()
	}
	return nil
}

func (m *ToneMeter) addSample(sample float64) {
	if math.IsNaN(sample) || math.IsInf(sample, 0) {
		sample = 0
	}
	m.ring[m.next] = sample
	m.next = (m.next + 1) % len(m.ring)
	m.fresh++
	m.filled = min(m.filled+1, len(m.ring))
}

// measure returns the tone and level of the samples in the ring.
func (m *ToneMeter) measure() (tone, level float64) {
	var energy float64
	n := copy(m.ordered, m.ring[m.next:])
	copy(m.ordered[n:], m.ring[:m.next])
	for _, sample := range m.ordered {
		energy += sample * sample
	}
	level = math.Max(Silence, 10*math.Log10(energy/float64(max(1, m.filled))+1e-12))
	if level < minToneLevel {
		return 0, level
	}
	applyHannWindow(m.ordered[len(m.ordered)-m.filled:])
	m.fft.Coefficients(m.spectrum, m.ordered)
	return m.peak(), level
}

// applyHannWindow fades samples in and out, so that the cut at both ends does not spread a peak.
func applyHannWindow(samples []float64) {
	for i := range samples {
		samples[i] *= 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/float64(len(samples)))
	}
}

// peak returns the frequency of the strongest bin, interpolated, or 0 if it does not stand out.
func (m *ToneMeter) peak() float64 {
	const low, high = int(testsignal.MinFrequency), int(testsignal.MaxFrequency)
	best, total := low, 0.0
	for i := low; i <= high; i++ {
		total += power(m.spectrum[i])
		if power(m.spectrum[i]) > power(m.spectrum[best]) {
			best = i
		}
	}
	near := 0.0
	for i := max(low, best-toneWidth); i <= min(high, best+toneWidth); i++ {
		near += power(m.spectrum[i])
	}
	if total == 0 || near < toneShare*total {
		return 0
	}
	left, mid, right := cmplx.Abs(m.spectrum[best-1]), cmplx.Abs(m.spectrum[best]), cmplx.Abs(m.spectrum[best+1])
	if curve := left - 2*mid + right; curve < 0 {
		return float64(best) + (left-right)/curve/2
	}
	return float64(best)
}

func power(c complex128) float64 { return real(c)*real(c) + imag(c)*imag(c) }

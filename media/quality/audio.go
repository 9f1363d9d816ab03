package quality

import (
	"time"

	"parley/media"
	"parley/media/testsignal"
)

const (
	minAmplitude = 0.01                      // of full scale: below is silence
	gapStep      = media.OpusClockRate / 100 // samples per step in which gaps are counted
	maxUneven    = 200 * time.Millisecond    // difference of the intervals of timecodes at the source and here
	maxOnTheWay  = 300                       // ms: audio is not missing before that
	maxPause     = 600 * media.OpusClockRate // samples; what is longer is counted as this
)

// audioAnalyzer measures gaps in audio and reads the timecodes in it.
type audioAnalyzer struct {
	codec     string
	decoder   *audioDecoder // nil for a codec that is not decoded
	expected  uint32        // timestamp after the latest packet
	started   bool
	timecodes *testsignal.TimecodeDetector
	history   history

	written uint64        // samples
	at      time.Duration // arrival of the current packet
	origin  uint64        // its first sample
	silent  int           // samples since the latest audio
	loud    bool          // the current step has audio
	step    int           // samples of the current step
	heard   bool          // there was audio
	gap     int           // the longest, in samples
	count   uint64        // timecodes

	latest    observation
	plausible bool // latest is
}

// addPacket decodes a packet. Packets of a codec that is not decoded are ignored.
func (a *audioAnalyzer) addPacket(mime string, packet []byte, timestamp uint32, at time.Duration) {
	if mime != a.codec {
		a.codec, a.started = mime, false
		a.decoder, _ = newAudioDecoder(mime)
	}
	if a.decoder == nil {
		return
	}
	duration := a.decoder.duration(packet)
	if duration == 0 {
		return
	}
	if a.started {
		if missing := int32(timestamp - a.expected); missing > 0 { //nolint:gosec // wraps by design
			a.addSilence(min(int(missing)*a.decoder.scale(), maxPause))
		} else if missing < 0 {
			return // too late
		}
	}
	a.expected, a.started = timestamp+uint32(duration), true //nolint:gosec // small
	a.addSamples(a.decoder.decode(packet), at)
}

// addSamples takes samples, as if they were played from the time at which their packet arrived.
func (a *audioAnalyzer) addSamples(samples []float32, at time.Duration) {
	a.at, a.origin = at, a.written
	for _, sample := range samples {
		a.addSample(float64(sample))
	}
}

// addSilence stands for missing packets. The detector gets one second at most.
func (a *audioAnalyzer) addSilence(samples int) {
	for range min(samples, media.OpusClockRate) {
		a.addSample(0)
	}
	if rest := samples - media.OpusClockRate; rest > 0 {
		a.silent += rest
		a.gap = max(a.gap, a.silent)
	}
}

func (a *audioAnalyzer) addSample(v float64) {
	a.written++
	if number, begin, ok := a.timecodes.Write(v); ok {
		since := time.Duration((begin - float64(a.origin)) * float64(time.Second) / media.OpusClockRate)
		a.addTimecode(observation{number, a.at + since})
	}
	a.loud = a.loud || v > minAmplitude || v < -minAmplitude
	if a.step++; a.step < gapStep {
		return
	}
	switch {
	case a.loud:
		a.heard, a.silent = true, 0
	case a.heard:
		a.silent += gapStep
		a.gap = max(a.gap, a.silent)
	}
	a.step, a.loud = 0, false
}

// addTimecode takes a timecode if it fits to the one before, since any audio may look like one by
// chance.
func (a *audioAnalyzer) addTimecode(o observation) {
	before, counted := a.latest, a.plausible
	a.latest = o
	elapsed := time.Duration(o.number-before.number) * testsignal.TimecodeInterval
	if a.plausible = before.number < o.number && (o.at-before.at-elapsed).Abs() < maxUneven; !a.plausible {
		return
	}
	if !counted {
		a.history.add(before)
		a.count++
	}
	a.history.add(o)
	a.count++
}

// addTo adds the measurements of audio to a report.
func (a *audioAnalyzer) addTo(r *Report, now time.Duration) {
	r.Timecodes = a.count
	if a.heard {
		gap := milliseconds(time.Duration(a.gap) * time.Second / media.OpusClockRate)
		if waiting := milliseconds(now - a.at); waiting > maxOnTheWay {
			gap = max(gap, waiting+milliseconds(time.Duration(a.silent)*time.Second/media.OpusClockRate))
		}
		r.MaxAudioGap = &gap
	}
}

package quality

import (
	"image"
	"math"
	"slices"
	"sync"
	"time"

	"parley/media"
	"parley/media/decoder"
	"parley/media/testsignal"
)

// AnalyzerOptions are the options of an Analyzer. The zero value works.
type AnalyzerOptions struct {
	// Epoch is that of the test sources whose signals may come back. Times are then relative to it,
	// and of signals that come back the latency is known and which frames the source skipped. The
	// default nil measures what can be measured without.
	Epoch *testsignal.Epoch

	// FrameRate of the test video in frames/s, of that with the Epoch if there is one. The default
	// 0 detects a usual rate.
	FrameRate float64

	// Width and Height of the test video as it was sent, likewise. The default is the size of the
	// received frames.
	Width, Height int

	// CompareEvery computes the PSNR of every nth frame. The default is 1.
	CompareEvery int

	// Changed is called after the report has changed, by the goroutine that called the Analyzer. It
	// must not block. The default does nothing.
	Changed func()
}

// A Report holds the measurements of an Analyzer. Pointers are nil for what was not measured.
type Report struct {
	// Frames were decoded; FrameIDs counts those whose frame ID was read, from the first on.
	Frames, FrameIDs uint64
	// Missing frames were sent, as far as that is known, and never arrived. Gaps counts runs of
	// missing frames, Repeated the frames that came again, and OutOfOrder those that came after
	// later ones.
	Missing, Gaps, Repeated, OutOfOrder uint64
	// MaxFreeze is the longest time without a new frame, up to now, in milliseconds.
	MaxFreeze *float64
	// PSNR is the median peak signal-to-noise ratio of luma in dB, without the time of day, which a
	// receiver does not know. Equal frames have 100.
	PSNR *float64
	// VideoLatency and AudioLatency run from the time at which a frame or timecode was due at the
	// source to its arrival, in milliseconds.
	VideoLatency, AudioLatency *Percentiles
	// Timecodes counts timecodes that were read.
	Timecodes uint64
	// MaxAudioGap is the longest time without audio since the first, up to now, in milliseconds.
	MaxAudioGap *float64
	// Sync is how much later video arrives than the audio that belongs to it, in milliseconds.
	Sync *float64
}

// Percentiles summarize measurements.
type Percentiles struct{ Median, P95 float64 }

// An Analyzer measures received test signals by their frame IDs and timecodes. Times given to it
// are relative to the Epoch, or to any moment that is the same for audio and video. Its methods may
// be called from any goroutine, with rising times.
type Analyzer struct {
	o AnalyzerOptions

	mu    sync.Mutex // guards all fields below
	video videoAnalyzer
	audio audioAnalyzer
}

// NewAnalyzer returns an Analyzer.
func NewAnalyzer(o AnalyzerOptions) *Analyzer {
	o.CompareEvery = max(1, o.CompareEvery)
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Analyzer{
		o: o, video: videoAnalyzer{o: o}, audio: audioAnalyzer{timecodes: testsignal.NewTimecodeDetector()},
	}
}

// WriteImage takes a decoded frame that arrived at a time. It does not keep the image.
func (a *Analyzer) WriteImage(img image.Image, at time.Duration) {
	defer a.o.Changed()
	number, ok := testsignal.ReadFrameID(img)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.video.add(img, number, ok, at)
}

// WriteAudio takes a packet of Opus or G.711 that arrived at a time, with its timestamp in units of
// the clock rate.
func (a *Analyzer) WriteAudio(mime string, packet []byte, timestamp uint32, at time.Duration) {
	defer a.o.Changed()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.audio.addPacket(mime, packet, timestamp, at)
}

// WriteSamples takes mono samples at 48 kHz, the first of which belongs to a time. It replaces
// WriteAudio.
func (a *Analyzer) WriteSamples(samples []float32, at time.Duration) {
	defer a.o.Changed()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.audio.addSamples(samples, at)
}

// ResetVideo forgets all frames.
func (a *Analyzer) ResetVideo() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.video = videoAnalyzer{o: a.o}
}

// Report returns the measurements up to now.
func (a *Analyzer) Report(now time.Duration) Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.video.report(now)
	var video, audio []float64
	if rate := a.video.rate(); rate > 0 {
		for _, s := range a.video.history.entries {
			video = append(video, milliseconds(s.at)-float64(s.number)/rate*1000)
		}
	}
	a.audio.addTo(&r, now)
	for _, s := range a.audio.history.entries {
		audio = append(audio, milliseconds(s.at)-float64(s.number)*milliseconds(testsignal.TimecodeInterval))
	}
	v, s := percentiles(video), percentiles(audio)
	if a.o.Epoch != nil {
		r.VideoLatency, r.AudioLatency = plausibleLatency(v), plausibleLatency(s)
	}
	if v != nil && s != nil {
		if sync := v.Median - s.Median; math.Abs(sync) < maxSync {
			r.Sync = &sync
		}
	}
	return r
}

// VideoSink returns a sink for the video of a call, and the Viewer that decodes it: the caller runs
// it, and video is measured on that goroutine. Times are relative to since.
func (a *Analyzer) VideoSink(since time.Time, o decoder.ViewerOptions) (media.FrameSink, *decoder.Viewer) {
	o.NewDecoder = decoder.KeyFramesFirst(o.NewDecoder)
	o.Show = func(image.Image) {}
	o.OnFrame = func(img image.Image, arrival time.Time) { a.WriteImage(img, arrival.Sub(since)) }
	v := decoder.NewViewer(o)
	return completionSink{v}, v
}

// AudioSink returns a sink for the audio of a call. Times are relative to since.
func (a *Analyzer) AudioSink(since time.Time) media.FrameSink { return audioSink{a, since} }

type audioSink struct {
	analyzer *Analyzer
	since    time.Time
}

// WriteFrame implements media.FrameSink.
func (s audioSink) WriteFrame(f media.Frame) error {
	s.analyzer.WriteAudio(f.Codec, f.Data, f.Timestamp, f.Arrival.Sub(s.since))
	return nil
}

// completionSink replaces the arrival of a frame's first packet by the time at which the frame is
// complete.
type completionSink struct{ to media.FrameSink }

// WriteFrame implements media.FrameSink.
func (s completionSink) WriteFrame(f media.Frame) error {
	f.Arrival = time.Now()
	return s.to.WriteFrame(f)
}

const (
	maxLatency      = 60_000 // ms; signals that are older are not ours
	maxSync         = 10_000 // ms; audio and video that are farther apart come from two sources
	minMeasurements = 5      // for a median
)

// plausibleLatency returns the percentiles of latencies, nil if they are those of a source with
// another epoch.
func plausibleLatency(p *Percentiles) *Percentiles {
	if p != nil && (p.Median < -1000 || p.Median > maxLatency) {
		return nil
	}
	return p
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentiles returns nil for less than minMeasurements values.
func percentiles(values []float64) *Percentiles {
	if len(values) < minMeasurements {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := func(p float64) float64 { return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)] }
	return &Percentiles{rank(.5), rank(.95)}
}

// observation is a frame number or timecode that was read, and its time.
type observation struct {
	number uint32
	at     time.Duration
}

// history keeps the latest observations. The zero value is ready.
type history struct {
	entries []observation
	next    int // index of the oldest entry once the history is full
}

// maxHistory is how many observations are kept: two minutes of 30 frames/s.
const maxHistory = 1 << 12

func (h *history) add(o observation) {
	if len(h.entries) < maxHistory {
		h.entries = append(h.entries, o)
		return
	}
	h.entries[h.next] = o
	h.next = (h.next + 1) % len(h.entries)
}

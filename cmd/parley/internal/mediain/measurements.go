package mediain

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parley/cmd/parley/internal/event"
)

// MeasureInterval is the least time between two measurements of a call. A change is measured within
// it.
const MeasureInterval = 50 * time.Millisecond

// changes are the changes of what is measured in a call, taken together: its receivers and its
// analyzer post them for each packet and frame, and the call is measured once for all that come
// within MeasureInterval. A call in which nothing changes is not measured.
type changes struct {
	Wanted atomic.Bool // something depends on the measurements
	Due    *time.Timer // of the next measurement

	mu      sync.Mutex // guards the following
	pending bool       // due runs
	latest  time.Time  // of measurements
}

func newChanges() *changes {
	c := &changes{Due: time.NewTimer(time.Hour)}
	c.Due.Stop()
	return c
}

// Post notes a change. It does not block, and may be called from any goroutine.
func (c *changes) Post() {
	if !c.Wanted.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pending {
		c.pending = true
		c.Due.Reset(max(0, MeasureInterval-time.Since(c.latest)))
	}
}

// Begin notes that a measurement begins: later changes are due after it.
func (c *changes) Begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.latest = false, time.Now()
}

// Stop ends the measurements.
func (c *changes) Stop() {
	c.Wanted.Store(false)
	c.Due.Stop()
}

// Measures reports whether the received media are measured for more than the statistics.
func (r *Receivers) Measures() bool { return r.Analyzer != nil || r.metering.Load() }

// EnableMetering measures the tone and level of received audio from now on.
func (r *Receivers) EnableMetering() {
	r.metering.Store(true)
	r.Changes.Wanted.Store(true)
	r.Changes.Post()
}

// Measure lets the expectations observe what has changed since the latest measurement. It reports
// whether values change as time passes, without a packet: rates fall, and times without media grow.
func (r *Receivers) Measure() (changing bool) {
	changing = r.measureQuality()
	for _, s := range r.Stats() {
		if s.Packets > 0 && !s.ended {
			r.observe(s.Kind+".codec", event.TextOf(s.Codec))
			if s.Width > 0 {
				r.observe(s.Kind+".size", event.TextOf(size(s.Width, s.Height)))
			}
		}
	}
	for _, s := range r.ByKind() {
		changing = changing || s.Bitrate > 0 || s.FrameRate > 0
		observe := func(key string, v event.Value) { r.observe(s.Kind+"."+key, v) }
		observe("packets", event.NumberOf(s.Packets))
		observe("lost", event.NumberOf(s.Lost))
		observe("frames", event.NumberOf(s.Frames))
		observe("bitrate", event.NumberOf(math.Round(s.Bitrate)))
		if s.Width > 0 {
			observe("fps", event.NumberOf(math.Round(s.FrameRate*10)/10))
		}
		if s.Tone.Tone > 0 {
			r.lastTone.Store(s.Tone.Tone)
			observe("tone", event.NumberOf(math.Round(s.Tone.Tone*10)/10))
		}
	}
	return changing
}

// measureQuality is measure for what the analyzer has found out.
func (r *Receivers) measureQuality() (changing bool) {
	if r.Analyzer == nil || !r.Connected() {
		return false
	}
	report := r.Analyzer.Report(time.Since(r.Epoch.Time()))
	q := QualityFacts(report)
	for _, key := range slices.Sorted(maps.Keys(q)) {
		r.observe(key, event.NumberOf(q[key]))
	}
	return report.MaxFreeze != nil || report.MaxAudioGap != nil
}

// observe lets the expectations observe a value that differs from the latest one of its key.
func (r *Receivers) observe(key string, v event.Value) {
	if latest, ok := r.measured[key]; !ok || latest != v {
		r.measured[key] = v
		r.Observe(key, v)
	}
}

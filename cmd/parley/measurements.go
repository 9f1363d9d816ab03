package main

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"parley/cmd/parley/internal/event"
)

// measureInterval is the least time between two measurements of a call. A change is measured within it.
const measureInterval = 50 * time.Millisecond

// changes are the changes of what is measured in a call, taken together: its receivers and its analyzer
// post them for each packet and frame, and the call is measured once for all that come within
// measureInterval. A call in which nothing changes is not measured.
type changes struct {
	wanted atomic.Bool // something depends on the measurements
	due    *time.Timer // of the next measurement

	mu      sync.Mutex // guards the following
	pending bool       // due runs
	latest  time.Time  // of measurements
}

func newChanges() *changes {
	c := &changes{due: time.NewTimer(time.Hour)}
	c.due.Stop()
	return c
}

// post notes a change. It does not block, and may be called from any goroutine.
func (c *changes) post() {
	if !c.wanted.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pending {
		c.pending = true
		c.due.Reset(max(0, measureInterval-time.Since(c.latest)))
	}
}

// begin notes that a measurement begins: later changes are due after it.
func (c *changes) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.latest = false, time.Now()
}

// stop ends the measurements.
func (c *changes) stop() {
	c.wanted.Store(false)
	c.due.Stop()
}

// measures reports whether the received media are measured for more than the statistics.
func (r *receivers) measures() bool { return r.analyzer != nil || r.metering.Load() }

// enableMetering measures the tone and level of received audio from now on.
func (r *receivers) enableMetering() {
	r.metering.Store(true)
	r.changes.wanted.Store(true)
	r.changes.post()
}

// measure lets the expectations observe what has changed since the latest measurement. It reports whether
// values change as time passes, without a packet: rates fall, and times without media grow.
func (r *receivers) measure() (changing bool) {
	changing = r.measureQuality()
	for _, s := range r.stats() {
		if s.Packets > 0 && !s.ended {
			r.observe(s.Kind+".codec", event.TextOf(s.Codec))
			if s.Width > 0 {
				r.observe(s.Kind+".size", event.TextOf(size(s.Width, s.Height)))
			}
		}
	}
	for _, s := range r.byKind() {
		changing = changing || s.Bitrate > 0 || s.FrameRate > 0
		observe := func(key string, v event.Value) { r.observe(s.Kind+"."+key, v) }
		observe("packets", event.NumberOf(s.Packets))
		observe("lost", event.NumberOf(s.Lost))
		observe("frames", event.NumberOf(s.Frames))
		observe("bitrate", event.NumberOf(math.Round(s.Bitrate)))
		if s.Width > 0 {
			observe("fps", event.NumberOf(math.Round(s.FrameRate*10)/10))
		}
		if s.tone.Tone > 0 {
			r.lastTone.Store(s.tone.Tone)
			observe("tone", event.NumberOf(math.Round(s.tone.Tone*10)/10))
		}
	}
	return changing
}

// measureQuality is measure for what the analyzer has found out.
func (r *receivers) measureQuality() (changing bool) {
	if r.analyzer == nil || !r.Connected() {
		return false
	}
	report := r.analyzer.Report(time.Since(r.Epoch.Time()))
	q := qualityFacts(report)
	for _, key := range slices.Sorted(maps.Keys(q)) {
		r.observe(key, event.NumberOf(q[key]))
	}
	return report.MaxFreeze != nil || report.MaxAudioGap != nil
}

// observe lets the expectations observe a value that differs from the latest one of its key.
func (r *receivers) observe(key string, v event.Value) {
	if latest, ok := r.measured[key]; !ok || latest != v {
		r.measured[key] = v
		r.Observe(key, v)
	}
}

package recorder

import (
	"time"

	"parley/media"
)

const (
	// A step between two frames that differs by more than this from what the arrivals say is no step of the same
	// clock: the sender has begun anew.
	maxDrift = 5 * time.Second
	// A timeline moves by at most this share of the time that passes when it is corrected, so that nobody sees it.
	maxSlew = 10 // per cent
	// More than this is no offset between the clocks of audio and video, but two senders.
	maxOffset = 10 * time.Second
)

// timeline turns the timestamps of one track into time since a moment that all tracks of a recording share.
//
// At first the tracks go together by arrival. When the sender's reports say when frames were captured, the timeline
// of video is shifted to agree with that of audio: slowly, for a viewer sees a jump, and only video, for a listener
// hears any change.
type timeline struct {
	started  bool
	ssrc     uint32
	clock    uint32
	last     uint32        // latest timestamp
	anchor   time.Duration // time of tick 0
	ticks    int64         // since the anchor
	arrival  time.Time     // of the latest frame
	raw      time.Duration // of the latest frame, without shift
	at       time.Duration // of the latest frame
	interval time.Duration // between the latest two frames

	origin      time.Time // moment on the sender's clock when raw was 0
	originKnown bool
	shift       time.Duration
}

// next is the time of f since start. Times of one timeline grow.
func (t *timeline) next(f media.Frame, start time.Time) time.Duration {
	raw := t.read(f, start)
	if !f.Captured.IsZero() {
		t.origin, t.originKnown = f.Captured.Add(-raw), true
	}
	at := raw + t.shift
	if t.started {
		at = max(at, t.at+time.Millisecond) // the resolution of WebM
		t.interval = at - t.at
	}
	t.started, t.raw, t.at = true, raw, at
	t.arrival, t.last = f.Arrival, f.Timestamp
	return at
}

// read unwraps the timestamp.
func (t *timeline) read(f media.Frame, start time.Time) time.Duration {
	if !t.started {
		t.ssrc, t.clock = f.SSRC, f.ClockRate
		t.anchor = f.Arrival.Sub(start)
		return t.anchor
	}
	step := int64(int32(f.Timestamp - t.last)) //nolint:gosec // wraps by design
	passed := f.Arrival.Sub(t.arrival)
	if f.SSRC == t.ssrc && f.ClockRate == t.clock && f.ClockRate != 0 {
		if drift := media.TicksToDuration(step, t.clock) - passed; drift.Abs() < maxDrift {
			t.ticks += step
			return t.anchor + media.TicksToDuration(t.ticks, t.clock)
		}
	}
	// Another clock: go on from where the old one stood.
	t.ssrc, t.clock, t.ticks = f.SSRC, f.ClockRate, 0
	t.anchor = t.raw + max(passed, time.Millisecond)
	t.originKnown = false
	return t.anchor
}

// follow shifts t towards agreement with leader, by so much as the time since the last frame allows.
func (t *timeline) follow(leader *timeline) {
	target, ok := t.offset(leader)
	if !ok {
		return
	}
	limit := t.interval * maxSlew / 100
	t.shift += min(max(target-t.shift, -limit), limit)
}

// jump shifts t to agreement with leader at once.
func (t *timeline) jump(leader *timeline) {
	if target, ok := t.offset(leader); ok {
		t.shift = target
	}
}

// offset is the shift that makes t agree with leader.
func (t *timeline) offset(leader *timeline) (time.Duration, bool) {
	if !t.originKnown || !leader.originKnown {
		return 0, false
	}
	target := t.origin.Sub(leader.origin)
	return target, target.Abs() < maxOffset
}

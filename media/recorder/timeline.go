package recorder

import (
	"time"

	"parley/media"
)

const (
	// A step between two timestamps that differs by more than maxDrift from the time between their
	// arrivals belongs to another clock: the sender started again. No clock runs ahead of the
	// arrivals by more.
	maxDrift = 5 * time.Second
	// minStall is the delay from which on timestamps are suspected to have stood still.
	minStall = 500 * time.Millisecond
	// stallWait is how long a suspected stall is watched: frames that were delayed by the network
	// arrive in a burst.
	stallWait = time.Second
	// reportTimeout is how long the decision waits for a sender report, which a sender sends every
	// 5 s or more often (RFC 3550 section 6.2).
	reportTimeout = 6 * time.Second
	// A timeline is corrected by at most maxSlew per cent of the time that passes, which a viewer
	// does not see.
	maxSlew = 10
	// A larger offset between audio and video is one between two senders.
	maxOffset = 10 * time.Second
)

// timeline maps the RTP timestamps of one track to time since a moment that all tracks of a file
// share.
//
// The first frames of all tracks are placed by their arrival, the following ones by their
// timestamps. Sender reports say when frames were captured: the timeline of video is shifted to
// that of audio, slowly, because a jump is visible, and video only, because any change of audio is
// audible.
//
// If the capture of a sender stalls while its timestamps stand still, all later frames arrive late
// by the length of the stall. That is distinguished from a delay in the network by the next sender
// report, or without reports by the lateness that does not end.
type timeline struct {
	started  bool
	start    time.Time // the moment 0
	ssrc     uint32
	clock    uint32
	last     uint32        // latest timestamp
	anchor   time.Duration // time of tick 0
	ticks    int64         // since anchor
	arrival  time.Time     // of the latest frame
	raw      time.Duration // of the latest frame, without shift
	at       time.Duration // of the latest frame
	interval time.Duration // between the latest two frames

	origin      time.Time // moment on the sender's clock at which raw was 0
	originKnown bool
	shift       time.Duration

	transit time.Duration // the shortest so far, from raw to arrival
	stall   stall
}

// stall is a suspected stall of the capture. stall is zero without one.
type stall struct {
	since    time.Time     // arrival of the first late frame
	lateness time.Duration // of all frames since, at least
	denied   bool          // a sender report says that the network delays the frames
}

// next returns the time of f since start. The times of one timeline increase. jump is the length of
// a stall that is now known: it is in the returned time, and has to be added to the times of the
// frames that arrived since the moment from.
func (t *timeline) next(f media.Frame, start time.Time) (at, jump time.Duration, from time.Time) {
	t.start = start
	raw := t.unwrap(f)
	moved := time.Duration(0) // of the origin, by a new report
	if !f.Captured.IsZero() {
		origin := f.Captured.Add(-raw)
		if t.originKnown {
			moved = origin.Sub(t.origin)
		}
		t.origin, t.originKnown = origin, true
	}
	if t.started {
		if jump, from = t.detectStall(f, raw, moved); jump > 0 {
			raw += jump
			t.anchor += jump
			t.at += jump
			t.origin = t.origin.Add(-jump)
		}
	}
	at = raw + t.shift
	if t.started {
		at = max(at, t.at+time.Millisecond) // the resolution of WebM
		t.interval = at - t.at
	}
	t.started, t.raw, t.at = true, raw, at
	t.arrival, t.last = f.Arrival, f.Timestamp
	return at, jump, from
}

// unwrap returns the time of f by its timestamp.
func (t *timeline) unwrap(f media.Frame) time.Duration {
	arrived := f.Arrival.Sub(t.start)
	if !t.started {
		t.ssrc, t.clock, t.anchor = f.SSRC, f.ClockRate, arrived
		return t.anchor
	}
	step := int64(int32(f.Timestamp - t.last)) //nolint:gosec // wraps by design
	passed := f.Arrival.Sub(t.arrival)
	if f.SSRC == t.ssrc && f.ClockRate == t.clock && f.ClockRate != 0 {
		raw := t.anchor + media.TicksToDuration(t.ticks+step, t.clock)
		drift := media.TicksToDuration(step, t.clock) - passed
		// No frame is captured after it has arrived.
		skipped := drift > minStall && arrived-raw < t.transit-minStall
		if drift.Abs() < maxDrift && raw-arrived < maxDrift && !skipped {
			t.ticks += step
			t.transit = min(t.transit, arrived-raw)
			return raw
		}
	}
	// Another clock: it continues where the old one stood.
	t.ssrc, t.clock, t.ticks, t.stall = f.SSRC, f.ClockRate, 0, stall{}
	t.anchor = t.raw + max(passed, time.Millisecond)
	t.transit = min(t.transit, arrived-t.anchor)
	t.originKnown = false
	return t.anchor
}

// detectStall returns the length of a stall once it is known, and the arrival of the first frame
// after it. moved is how far a sender report moved the origin with f.
func (t *timeline) detectStall(f media.Frame, raw, moved time.Duration) (time.Duration, time.Time) {
	s := &t.stall
	late := f.Arrival.Sub(t.start) - raw - t.transit
	if late < minStall {
		*s = stall{}
		return 0, time.Time{}
	}
	reported := moved.Abs() >= time.Microsecond
	if s.since.IsZero() {
		*s = stall{since: f.Arrival, lateness: late}
		reported = moved >= minStall/2 // a report during the stall does not show its end
	}
	s.lateness = min(s.lateness, late)
	waited, length := f.Arrival.Sub(s.since), s.lateness
	switch {
	case s.denied:
		return 0, time.Time{}
	case reported && moved < minStall/2:
		s.denied = true
		return 0, time.Time{}
	case reported:
		length = min(moved, late)
	case t.originKnown && waited < reportTimeout, waited < stallWait:
		return 0, time.Time{}
	}
	from := s.since
	*s = stall{}
	return length, from
}

// watching reports whether it is not known yet whether the latest frames belong later. It ends
// after stallWait.
func (t *timeline) watching(now time.Time) bool {
	return !t.stall.since.IsZero() && !t.stall.denied && now.Sub(t.stall.since) < stallWait
}

// slewTo shifts t towards leader, by as much as the time since the last frame allows.
func (t *timeline) slewTo(leader *timeline) {
	target, ok := t.offset(leader)
	if !ok {
		return
	}
	limit := t.interval * maxSlew / 100
	t.shift += min(max(target-t.shift, -limit), limit)
}

// snapTo shifts t to leader at once.
func (t *timeline) snapTo(leader *timeline) {
	if target, ok := t.offset(leader); ok {
		t.shift = target
	}
}

// offset returns the shift at which t agrees with leader. It reports false if it is not known.
func (t *timeline) offset(leader *timeline) (time.Duration, bool) {
	if !t.originKnown || !leader.originKnown {
		return 0, false
	}
	target := t.origin.Sub(leader.origin)
	return target, target.Abs() < maxOffset
}

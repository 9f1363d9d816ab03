package mediain

import (
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/media"
	"parley/peer"
)

// leastGap is the silence from which on media count as away. After an outage or
// a change of the path any is measured, because that shows its cost.
const leastGap = time.Second

// Why media were away.
const (
	gapOutage = "outage" // the connection was disconnected, or failed
	gapSwitch = "switch" // another path was taken
	gapSource = "silence"
)

// interruptions measures how long the frames of one track stay away, as a media.FrameSink.
type interruptions struct {
	lost   func() uint64 // packets of the track, up to now
	report func(interruption)

	mu     sync.Mutex // guards the following
	last   time.Time  // of the latest frame that could be shown
	before uint64     // lost packets then
	broken bool       // a frame since then was not of use
	cause  string     // of the gap that may be, "" for none known
	count  int
	total  time.Duration
}

// interruption is a time without media.
type interruption struct {
	kind, cause string
	length      time.Duration
	lost        uint64
}

// suspect reports that the path has had a fault, or has changed.
func (w *interruptions) suspect(cause string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == "" || cause == gapOutage {
		w.cause = cause
	}
}

// WriteFrame implements media.FrameSink. Video is back with the first frame
// that can be shown: if frames before it were lost, with the next key frame.
func (w *interruptions) WriteFrame(f media.Frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.Kind == webrtc.RTPCodecTypeVideo && !f.Key && (f.Gap || w.broken) {
		w.broken = true
		return nil
	}
	w.broken = false
	arrived := f.Arrival
	if arrived.Before(w.last) { // it waited for one before it, whose packets were sent again
		arrived = w.last
	}
	length, lost := arrived.Sub(w.last), w.lost()
	if !w.last.IsZero() && (length >= leastGap || w.cause != "") {
		g := interruption{kind: f.Kind.String(), cause: w.cause, length: length, lost: lost - min(lost, w.before)}
		if g.cause == "" {
			g.cause = gapSource
		}
		w.cause = ""
		w.count++
		w.total += length
		w.report(g)
	}
	w.last, w.before = arrived, lost
	return nil
}

// reportInterruption reports that media are back.
func (r *Receivers) reportInterruption(g interruption) {
	r.Emit(event.Event{Name: "interruption", Peer: r.Peer, Detail: g.length < leastGap,
		Fields:  event.Fields("kind", g.kind, "ms", g.length.Milliseconds(), "lost", g.lost, "cause", g.cause),
		Message: fmt.Sprintf("%s was away for %.1f s, %s", g.kind, g.length.Seconds(), lostPackets(g.lost))})
}

// gapData is the kind of a gap in a call without media that come: that of its
// path, by what came on the data channels and by ICE's consent.
const gapData = "data"

// MeasurePath reports how long the path was away, on the goroutine of the call. In a
// call with media their gaps show it better.
func (r *Receivers) MeasurePath(e peer.StateChanged) {
	switch e.State {
	case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed:
		if r.disconnectedAt.IsZero() {
			r.disconnectedAt = time.Now().Add(-e.Silence)
		}
	case webrtc.PeerConnectionStateConnected:
		if !r.disconnectedAt.IsZero() && !r.any() {
			length := time.Since(r.disconnectedAt)
			r.Emit(event.Event{Name: "interruption", Peer: r.Peer,
				Fields:  event.Fields("kind", gapData, "ms", length.Milliseconds(), "cause", gapOutage),
				Message: fmt.Sprintf("the path to %s was away for %.1f s", sanitize.Text(r.Peer), length.Seconds())})
		}
		r.disconnectedAt = time.Time{}
	}
}

// Suspect looks for what an event of the call means for its media.
func (r *Receivers) Suspect(e peer.Event) {
	cause := ""
	switch e := e.(type) {
	case peer.PairSelected:
		if r.Connected() {
			cause = gapSwitch
		}
	case peer.StateChanged:
		if e.State == webrtc.PeerConnectionStateDisconnected || e.State == webrtc.PeerConnectionStateFailed {
			cause = gapOutage
		}
	}
	if cause != "" {
		r.suspectInterruption(cause)
	}
}

// sum returns the number of interruptions and their total. It reports whether there was a frame.
func (w *interruptions) sum() (count int, total time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count, w.total, !w.last.IsZero()
}

func lostPackets(n uint64) string {
	if n == 1 {
		return "1 packet lost"
	}
	return fmt.Sprintf("%d packets lost", n)
}

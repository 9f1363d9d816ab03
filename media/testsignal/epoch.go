package testsignal

import (
	"math/rand/v2"
	"sync"
	"time"
)

// An Epoch is the time from which the test signals of one call count: at R frames/s, frame N is due
// N/R seconds after it, and timecodes count from it too. Signals that share an Epoch stay in step
// even if one starts later. The zero value is set to the current time by the first call of Time.
// Its methods may be called from any goroutine.
type Epoch struct {
	mu   sync.Mutex // guards all fields
	time time.Time
	sent map[uint32]struct{}   // the latest frame numbers
	ring [maxSentFrames]uint32 // the same, in the order in which they were sent
	next int                   // index in ring of the oldest number once sent is full
}

// maxSentFrames is how many frame numbers an Epoch remembers: two minutes at 30 frames/s.
const maxSentFrames = 1 << 12

// NewEpoch returns an Epoch at a random time in the last 18 hours, so that frame numbers of
// different calls differ.
func NewEpoch() *Epoch {
	return &Epoch{time: time.Now().Add(-time.Duration(rand.N(1<<16)) * time.Second)}
}

// Time returns the time of frame 0.
func (e *Epoch) Time() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.time.IsZero() {
		e.time = time.Now()
	}
	return e.time
}

// MarkSent records that a frame is sent.
func (e *Epoch) MarkSent(frame uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sent == nil {
		e.sent = make(map[uint32]struct{}, maxSentFrames)
	}
	if len(e.sent) >= maxSentFrames {
		delete(e.sent, e.ring[e.next])
	}
	e.sent[frame] = struct{}{}
	e.ring[e.next] = frame
	e.next = (e.next + 1) % len(e.ring)
}

// Sent reports whether a frame is among the latest that were sent. A source that cannot keep up
// skips frames.
func (e *Epoch) Sent(frame uint32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.sent[frame]
	return ok
}

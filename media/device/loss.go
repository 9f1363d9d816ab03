//go:build linux && cgo

package device

import (
	"math"
	"sync"
	"time"
)

// Bounds of the loss, in per cent, that an encoder is told to expect. It then puts the packet before into each one once
// more, when somebody speaks; below leastLoss it hardly does.
const (
	leastLoss = 10
	mostLoss  = 30
	// calmTime is how long nothing may have been lost before the copies, which take a part of the bitrate, are left out.
	calmTime = 20 * time.Second
)

// losses are what the calls that share a microphone tell of packets that were lost.
type losses struct {
	mu    sync.Mutex // guards what follows
	now   int        // per cent that is expected
	until time.Time  // when it may become less, zero before anybody has told anything
}

// tell notes the share of the packets that one call has lost in the last seconds, 0 to 1. One encoder is for all of them,
// so the worst of all counts.
func (l *losses) tell(share float64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	percent := 0
	if share > 0 && !math.IsNaN(share) {
		percent = min(max(int(math.Ceil(100*share)), leastLoss), mostLoss)
	}
	if l.until.IsZero() {
		l.now, l.until = leastLoss, at.Add(calmTime)
	}
	if percent >= l.now && percent > 0 || at.After(l.until) {
		l.now, l.until = percent, at.Add(calmTime)
	}
}

// expected is the loss to expect, in per cent; some, before anything is known.
func (l *losses) expected() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.IsZero() {
		return leastLoss
	}
	return l.now
}

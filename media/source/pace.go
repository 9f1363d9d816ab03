package source

import (
	"context"
	"time"
)

// pacer waits for the times of one schedule. All times count from its start, so that errors do not add up.
type pacer struct {
	start time.Time
	timer *time.Timer
}

func newPacer() *pacer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &pacer{start: time.Now(), timer: timer}
}

// stop releases the timer.
func (p *pacer) stop() { p.timer.Stop() }

// elapsed returns the time since the start.
func (p *pacer) elapsed() time.Duration { return time.Since(p.start) }

// wait waits until at after the start, which may have passed. It returns false if ctx has ended.
func (p *pacer) wait(ctx context.Context, at time.Duration) bool {
	left := at - p.elapsed()
	if left <= 0 {
		return ctx.Err() == nil
	}
	p.timer.Reset(left)
	select {
	case <-ctx.Done():
		return false
	case <-p.timer.C:
		return true
	}
}

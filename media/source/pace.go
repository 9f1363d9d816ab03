package source

import (
	"context"
	"time"
)

// pacer waits for moments of one schedule. All moments are counted from its start, so that errors do not add up.
type pacer struct {
	start time.Time
	timer *time.Timer
}

func newPacer() *pacer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &pacer{start: time.Now(), timer: timer}
}

// stop frees the timer.
func (p *pacer) stop() { p.timer.Stop() }

// elapsed is the time since the start.
func (p *pacer) elapsed() time.Duration { return time.Since(p.start) }

// wait returns at the moment at after the start, at once if that has passed, with false if ctx ended.
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

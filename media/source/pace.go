package source

import (
	"context"
	"time"
)

// maxLag is how far a source may fall behind its schedule before it gives up catching up. Below, late frames go out at
// once; above (a suspended process, a stopped machine) that would be a burst.
const maxLag = time.Second

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

// postpone moves the whole schedule.
func (p *pacer) postpone(d time.Duration) { p.start = p.start.Add(d) }

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

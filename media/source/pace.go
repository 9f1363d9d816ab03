package source

import (
	"context"
	"time"
)

// pacer waits for the times of one schedule. All times count from its start, so that errors do not
// add up.
type pacer struct {
	start time.Time
	timer *time.Timer
	due   time.Duration // of admit: when the latest frame was due at the nominal rate
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

// admit waits until a frame of a pipe may be sent, and returns its time. interval is the time since
// the frame before at the nominal rate of the stream, 0 for the first frame. Frames are not sent
// faster than at that rate, with two exceptions: a frame that arrives up to half an interval early
// does not wait, because a live stream has jitter, and after a delay of up to maxFileLag the frames
// that have queued up are sent at once, because they would be late for ever. A frame that arrives
// late has the time of its arrival. It returns false if ctx has ended.
func (p *pacer) admit(ctx context.Context, interval time.Duration) (at time.Duration, ok bool) {
	due := p.due + interval
	at = max(p.elapsed(), due-interval/2)
	p.due = max(due, at-maxFileLag)
	return at, p.wait(ctx, at)
}

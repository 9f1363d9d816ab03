// Package hotplug handles devices that are unplugged and plugged in again.
package hotplug

import (
	"context"
	"sync"
	"time"
)

// StallTimeout is the time without a frame or samples after which a device is lost.
const StallTimeout = 5 * time.Second

// MinRetryDelay and maxRetryDelay are bounds of the time between two attempts to open a device
// again.
const (
	MinRetryDelay = 250 * time.Millisecond
	maxRetryDelay = 2 * time.Second
)

// LostError is the error of a device that was unplugged or has failed.
type LostError struct{ Err error }

func (e *LostError) Error() string { return e.Err.Error() }
func (e *LostError) Unwrap() error { return e.Err }

// Reopen opens a lost device when it is back. It calls open until that succeeds, and reports false
// when ctx ends before.
func Reopen(ctx context.Context, open func() error) bool {
	for wait := MinRetryDelay; Sleep(ctx, wait); wait = min(2*wait, maxRetryDelay) {
		if open() == nil {
			return true
		}
	}
	return false
}

// Sleep waits for d, and reports false when ctx ends before.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Presence reports to the calls that share a device when it is lost and when it is back.
type Presence struct {
	mu       sync.Mutex // guards what follows, and keeps reports in order
	gone     bool
	watchers map[any]func(gone bool)
}

// Watch calls f when the presence changes, and at once if the device is gone. A nil f ends that for
// the owner.
func (p *Presence) Watch(owner any, f func(gone bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f == nil {
		delete(p.watchers, owner)
		return
	}
	if p.watchers == nil {
		p.watchers = make(map[any]func(bool))
	}
	p.watchers[owner] = f
	if p.gone {
		f(true)
	}
}

// Set reports a change.
func (p *Presence) Set(gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone == gone {
		return
	}
	p.gone = gone
	for _, f := range p.watchers {
		f(gone)
	}
}

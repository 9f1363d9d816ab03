//go:build linux && cgo

package device

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"
)

// A videoDevice is a camera or a screen, open or not, there or not.
type videoDevice interface {
	// open starts it. It may be called again after it was lost and closed.
	open() (pictures, error)
	String() string
}

// pictures are those of an open device. One goroutine uses them.
type pictures interface {
	mode() mode
	// read waits for the next picture, 4:2:0, valid until release is called. After a *lostError nothing comes any
	// more; other errors are of one picture, or that none came in the last second.
	read() (img *image.YCbCr, release func(), err error)
	close()
}

// lostError says that a device is gone.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

const (
	patience   = 5 * time.Second // without any good picture, then the device counts as lost
	retryFirst = 250 * time.Millisecond
	retryMost  = 2 * time.Second
	mostSide   = 4096 // of a picture
)

// capture takes pictures until ctx ends, into the slot. It owns the open device, and gives it back by closing it.
func (v *videoHub) capture(ctx context.Context, p pictures, slot *latest) {
	v.presence.set(false)
	for {
		err := v.watch(ctx, p, slot)
		p.close()
		if ctx.Err() != nil {
			return
		}
		v.options.Tell(fmt.Sprintf("%s is gone: %v; sending nothing until it is back", v.name, err))
		v.presence.set(true)
		if p = v.reopen(ctx); p == nil {
			return
		}
		v.presence.set(false)
		v.options.Tell(v.name + " is back")
	}
}

// watch takes pictures until ctx ends, which is nil, or the device is lost.
func (v *videoHub) watch(ctx context.Context, p pictures, slot *latest) error {
	clock := frameClock{}
	if rate := p.mode().rate; rate > 0 {
		clock.interval = time.Duration(float64(time.Second) / rate)
	}
	for good := time.Now(); ctx.Err() == nil; {
		err := v.takeOne(p, &clock, slot)
		var lost *lostError
		switch {
		case err == nil:
			good = time.Now()
		case errors.As(err, &lost):
			return err
		case time.Since(good) > patience:
			return fmt.Errorf("no picture for %v: %w", patience, err)
		default:
			v.options.Logger.Debug("picture left out", "device", v.name, "error", err)
			sleep(ctx, 10*time.Millisecond) // a device that fails at once must not take all of a processor
		}
	}
	return nil
}

func (v *videoHub) takeOne(p pictures, clock *frameClock, slot *latest) error {
	img, release, err := p.read()
	if err != nil {
		return err
	}
	arrival := time.Now()
	defer release()
	if w, h := img.Rect.Dx(), img.Rect.Dy(); w < leastSide || h < leastSide || w > mostSide || h > mostSide {
		return fmt.Errorf("a picture of %dx%d cannot be sent", w, h)
	}
	next := slot.blank()
	next.copyFrom(img)
	next.at = clock.stamp(arrival)
	slot.put(next)
	return nil
}

// reopen tries until the device is back, or ctx ends, which gives nil.
func (v *videoHub) reopen(ctx context.Context) pictures {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		if !sleep(ctx, wait) {
			return nil
		}
		p, err := v.device.open()
		if err == nil {
			return p
		}
		v.options.Logger.Debug("device is not back", "device", v.name, "error", err)
	}
}

// sleep returns after d, or with false when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

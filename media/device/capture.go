//go:build linux && cgo

package device

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"parley/media"
	"parley/media/device/hotplug"
	"parley/media/device/rawframe"
	"parley/media/device/videodevice"
)

// maxSide is the largest width and height in pixels.
const maxSide = 4096

// capture captures to slot until ctx ends, and reopens the device when it is lost. It closes p.
func (c *sharedCapture) capture(ctx context.Context, p videodevice.Stream, slot *rawframe.Slot) {
	c.presence.Set(false)
	for {
		err := c.captureUntilLost(ctx, p, slot)
		p.Close()
		if ctx.Err() != nil {
			return
		}
		c.options.Warn(fmt.Sprintf("%s is gone: %v; sending nothing until it is back", c.name, err))
		c.presence.Set(true)
		if p = c.reopen(ctx); p == nil {
			return
		}
		c.presence.Set(false)
		c.options.Warn(c.name + " is back")
	}
}

// captureUntilLost captures until ctx ends, which is no error, or the device is lost.
func (c *sharedCapture) captureUntilLost(ctx context.Context, p videodevice.Stream, slot *rawframe.Slot) error {
	clock := rawframe.Clock{}
	if rate := p.Mode().Rate; rate > 0 {
		clock.Interval = time.Duration(float64(time.Second) / rate)
	}
	for last := time.Now(); ctx.Err() == nil; {
		err := c.captureFrame(p, &clock, slot)
		var lost *hotplug.LostError
		switch {
		case err == nil:
			last = time.Now()
		case errors.As(err, &lost):
			return err
		case time.Since(last) > hotplug.StallTimeout:
			return fmt.Errorf("no frame for %v: %w", hotplug.StallTimeout, err)
		default:
			c.options.Logger.Debug("frame dropped", "device", c.name, "error", err)
			hotplug.Sleep(ctx, 10*time.Millisecond) // a device that fails at once must not keep a core busy
		}
	}
	return nil
}

func (c *sharedCapture) captureFrame(p videodevice.Stream, clock *rawframe.Clock, slot *rawframe.Slot) error {
	img, release, err := p.Read()
	if err != nil {
		return err
	}
	arrival := time.Now()
	defer release()
	if w, h := img.Rect.Dx(), img.Rect.Dy(); w < rawframe.MinSide || h < rawframe.MinSide || w > maxSide || h > maxSide {
		return fmt.Errorf("frame size %dx%d cannot be sent", w, h)
	}
	next := slot.Acquire()
	next.CopyFrom(img)
	next.At = clock.Stamp(arrival)
	slot.Publish(next)
	return nil
}

// reopen opens the device when it is back. It returns nil when ctx ends.
func (c *sharedCapture) reopen(ctx context.Context) (p videodevice.Stream) {
	hotplug.Reopen(ctx, func() (err error) {
		if p, err = c.device.Open(); err != nil {
			c.options.Logger.Debug("device is not back", "device", c.name, "error", err)
		}
		return err
	})
	return p
}

// sharedCapture is a camera or a screen that is captured once for all calls that use it. It has one
// encoder for each codec and size in use.
type sharedCapture struct {
	name    string
	device  videodevice.Device
	options VideoOptions
	mimes   []string // codecs to encode, in order of preference

	worker   sharedWorker
	presence hotplug.Presence

	opening sync.Mutex         // guards open
	open    videodevice.Stream // until capture takes it

	mu      sync.Mutex // guards what follows
	streams map[encodingKey]*encodedStream
	start   time.Time // of the first frame, where the time of all streams begins
}

// take returns the open device, or opens it.
func (c *sharedCapture) take() (p videodevice.Stream, err error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	if p, c.open = c.open, nil; p == nil {
		p, err = c.device.Open()
	}
	return p, err
}

// close closes a device that was not taken.
func (c *sharedCapture) close() {
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.open != nil {
		c.open.Close()
		c.open = nil
	}
}

// startTask is the start of the worker.
func (c *sharedCapture) startTask() (func(context.Context) error, error) {
	open, err := c.take()
	if err != nil {
		return nil, &media.FileError{Path: c.name, Err: err}
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		slot, rate := rawframe.NewSlot(), open.Mode().Rate
		var work sync.WaitGroup
		work.Go(func() { c.capture(ctx, open, slot) })
		defer work.Wait()
		defer cancel()
		return c.encode(ctx, slot, rate)
	}, nil
}

// encode encodes the frames of slot until ctx ends.
func (c *sharedCapture) encode(ctx context.Context, slot *rawframe.Slot, rate float64) error {
	defer c.closeEncoders()
	var sizes rawframe.Downscaler
	for {
		p := slot.Next(ctx)
		if p == nil {
			return nil
		}
		sizes.Reset(p)
		err := c.send(&sizes, rate)
		slot.Release(p)
		if err != nil {
			return &media.FileError{Path: c.name, Err: err}
		}
	}
}

// send encodes a frame for each stream that is bound.
func (c *sharedCapture) send(sizes *rawframe.Downscaler, rate float64) error {
	c.mu.Lock()
	if c.start.IsZero() {
		c.start = sizes.Halved(0).At
	}
	start := c.start
	all := make([]*encodedStream, 0, len(c.streams))
	for _, s := range c.streams {
		all = append(all, s)
	}
	c.mu.Unlock()
	for _, s := range all {
		if err := s.send(sizes, rate, start); err != nil {
			return err
		}
	}
	return nil
}

// closeEncoders closes the encoders. The next frame creates new ones.
func (c *sharedCapture) closeEncoders() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		s.encoder.Close()
	}
}

// stream returns the stream of a codec and size.
func (c *sharedCapture) stream(key encodingKey) *encodedStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[key]
	if s == nil {
		s = newEncodedStream(key, c.options)
		c.streams[key] = s
	}
	return s
}

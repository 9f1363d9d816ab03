//go:build linux && cgo

package device

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"time"

	"parley/media"
	"parley/media/testsignal"
)

// videoDevice is a camera or a screen.
type videoDevice interface {
	// open starts capturing. It may be called again after the stream was closed.
	open() (frameStream, error)
	String() string
}

// frameStream is an open device. One goroutine uses it.
type frameStream interface {
	mode() mode
	// read returns the next frame in 4:2:0, valid until release is called. A *deviceLostError is
	// final. Other errors are those of one frame, or a timeout of about a second.
	read() (img *image.YCbCr, release func(), err error)
	close()
}

// deviceLostError is the error of a device that was unplugged or has failed.
type deviceLostError struct{ err error }

func (e *deviceLostError) Error() string { return e.err.Error() }
func (e *deviceLostError) Unwrap() error { return e.err }

const (
	stallTimeout  = 5 * time.Second // without a frame, then the device is lost
	minRetryDelay = 250 * time.Millisecond
	maxRetryDelay = 2 * time.Second
	maxSide       = 4096 // pixels
)

// capture captures to slot until ctx ends, and reopens the device when it is lost. It closes p.
func (c *sharedCapture) capture(ctx context.Context, p frameStream, slot *frameSlot) {
	c.presence.set(false)
	for {
		err := c.captureUntilLost(ctx, p, slot)
		p.close()
		if ctx.Err() != nil {
			return
		}
		c.options.Warn(fmt.Sprintf("%s is gone: %v; sending nothing until it is back", c.name, err))
		c.presence.set(true)
		if p = c.reopen(ctx); p == nil {
			return
		}
		c.presence.set(false)
		c.options.Warn(c.name + " is back")
	}
}

// captureUntilLost captures until ctx ends, which is no error, or the device is lost.
func (c *sharedCapture) captureUntilLost(ctx context.Context, p frameStream, slot *frameSlot) error {
	clock := frameClock{}
	if rate := p.mode().rate; rate > 0 {
		clock.interval = time.Duration(float64(time.Second) / rate)
	}
	for last := time.Now(); ctx.Err() == nil; {
		err := c.captureFrame(p, &clock, slot)
		var lost *deviceLostError
		switch {
		case err == nil:
			last = time.Now()
		case errors.As(err, &lost):
			return err
		case time.Since(last) > stallTimeout:
			return fmt.Errorf("no frame for %v: %w", stallTimeout, err)
		default:
			c.options.Logger.Debug("frame dropped", "device", c.name, "error", err)
			sleep(ctx, 10*time.Millisecond) // a device that fails at once must not keep a core busy
		}
	}
	return nil
}

func (c *sharedCapture) captureFrame(p frameStream, clock *frameClock, slot *frameSlot) error {
	img, release, err := p.read()
	if err != nil {
		return err
	}
	arrival := time.Now()
	defer release()
	if w, h := img.Rect.Dx(), img.Rect.Dy(); w < minSide || h < minSide || w > maxSide || h > maxSide {
		return fmt.Errorf("frame size %dx%d cannot be sent", w, h)
	}
	next := slot.acquire()
	next.copyFrom(img)
	next.at = clock.stamp(arrival)
	slot.publish(next)
	return nil
}

// reopen opens the device when it is back. It returns nil when ctx ends.
func (c *sharedCapture) reopen(ctx context.Context) frameStream {
	for wait := minRetryDelay; ; wait = min(2*wait, maxRetryDelay) {
		if !sleep(ctx, wait) {
			return nil
		}
		p, err := c.device.open()
		if err == nil {
			return p
		}
		c.options.Logger.Debug("device is not back", "device", c.name, "error", err)
	}
}

// sleep waits for d, and reports false when ctx ends before.
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

// sharedCapture is a camera or a screen that is captured once for all calls that use it. It has one
// encoder for each codec and size in use.
type sharedCapture struct {
	name    string
	device  videoDevice
	options VideoOptions
	mimes   []string // codecs to encode, in order of preference

	worker   sharedWorker
	presence presence

	opening sync.Mutex  // guards open
	open    frameStream // until capture takes it

	mu      sync.Mutex // guards what follows
	streams map[encodingKey]*encodedStream
	start   time.Time // of the first frame, where the time of all streams begins
}

// take returns the open device, or opens it.
func (c *sharedCapture) take() (p frameStream, err error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	if p, c.open = c.open, nil; p == nil {
		p, err = c.device.open()
	}
	return p, err
}

// close closes a device that was not taken.
func (c *sharedCapture) close() {
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.open != nil {
		c.open.close()
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
		slot, rate := newFrameSlot(), open.mode().rate
		var work sync.WaitGroup
		work.Go(func() { c.capture(ctx, open, slot) })
		defer work.Wait()
		defer cancel()
		return c.encode(ctx, slot, rate)
	}, nil
}

// encode encodes the frames of slot until ctx ends.
func (c *sharedCapture) encode(ctx context.Context, slot *frameSlot, rate float64) error {
	defer c.closeEncoders()
	var sizes downscaler
	for {
		p := slot.next(ctx)
		if p == nil {
			return nil
		}
		sizes.reset(p)
		err := c.send(&sizes, rate)
		slot.release(p)
		if err != nil {
			return &media.FileError{Path: c.name, Err: err}
		}
	}
}

// send encodes a frame for each stream that is bound.
func (c *sharedCapture) send(sizes *downscaler, rate float64) error {
	c.mu.Lock()
	if c.start.IsZero() {
		c.start = sizes.full.at
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

// testDevice is a camera without hardware, whose frames are the test pattern.
type testDevice struct{ is mode }

func findTestDevice(_ string, o VideoOptions) (videoDevice, error) {
	d := &testDevice{mode{width: o.Width &^ 1, height: o.Height &^ 1, rate: o.FrameRate}}
	if o.Width == 0 {
		d.is.width, d.is.height = testsignal.DefaultWidth, testsignal.DefaultHeight
	}
	if d.is.rate == 0 {
		d.is.rate = testsignal.DefaultFrameRate
	}
	_, err := testsignal.NewPattern(d.is.width, d.is.height)
	return d, err
}

func (d *testDevice) String() string { return "video" }

func (d *testDevice) open() (frameStream, error) {
	pattern, err := testsignal.NewPattern(d.is.width, d.is.height)
	if err != nil {
		return nil, err
	}
	s := &testStream{is: d.is, pattern: pattern, start: time.Now()}
	s.frame = *image.NewYCbCr(image.Rect(0, 0, d.is.width, d.is.height), image.YCbCrSubsampleRatio420)
	return s, nil
}

// testStream is an open testDevice.
type testStream struct {
	is      mode
	pattern *testsignal.Pattern
	frame   image.YCbCr
	start   time.Time
	next    int
}

func (s *testStream) mode() mode { return s.is }

// read waits until the next frame is due. A frame whose time has passed is skipped, with its frame
// ID.
func (s *testStream) read() (*image.YCbCr, func(), error) {
	if due := int(time.Since(s.start).Seconds() * s.is.rate); due > s.next {
		s.next = due
	}
	at := time.Duration(float64(s.next) / s.is.rate * float64(time.Second))
	time.Sleep(time.Until(s.start.Add(at)))
	img := s.pattern.Render(uint32(s.next), at, s.start.Add(at)) //nolint:gosec // wraps after years
	swapRedBlue(img.Pix)                                         // Render sets all pixels
	convertBGRX(&s.frame, img.Pix)
	s.next++
	return &s.frame, func() {}, nil
}

func (s *testStream) close() {}

// swapRedBlue converts between RGBA and BGRA.
func swapRedBlue(pixels []byte) {
	for i := 0; i+3 < len(pixels); i += 4 {
		pixels[i], pixels[i+2] = pixels[i+2], pixels[i]
	}
}

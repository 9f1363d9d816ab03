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

// A videoDevice is a camera or a screen, open or not, there or not.
type videoDevice interface {
	// open starts it. It may be called again after it was lost and closed.
	open() (frameStream, error)
	String() string
}

// pictures are those of an open device. One goroutine uses them.
type frameStream interface {
	mode() mode
	// read waits for the next picture, 4:2:0, valid until release is called. After a *deviceLostError nothing comes any
	// more; other errors are of one picture, or that none came in the last second.
	read() (img *image.YCbCr, release func(), err error)
	close()
}

// deviceLostError says that a device is gone.
type deviceLostError struct{ err error }

func (e *deviceLostError) Error() string { return e.err.Error() }
func (e *deviceLostError) Unwrap() error { return e.err }

const (
	stallTimeout  = 5 * time.Second // without any good picture, then the device counts as lost
	minRetryDelay = 250 * time.Millisecond
	maxRetryDelay = 2 * time.Second
	maxSide       = 4096 // of a picture
)

// capture takes pictures until ctx ends, into the slot. It owns the open device, and gives it back by closing it.
func (v *sharedCapture) capture(ctx context.Context, p frameStream, slot *frameSlot) {
	v.presence.set(false)
	for {
		err := v.watch(ctx, p, slot)
		p.close()
		if ctx.Err() != nil {
			return
		}
		v.options.Warn(fmt.Sprintf("%s is gone: %v; sending nothing until it is back", v.name, err))
		v.presence.set(true)
		if p = v.reopen(ctx); p == nil {
			return
		}
		v.presence.set(false)
		v.options.Warn(v.name + " is back")
	}
}

// watch takes pictures until ctx ends, which is nil, or the device is lost.
func (v *sharedCapture) watch(ctx context.Context, p frameStream, slot *frameSlot) error {
	clock := frameClock{}
	if rate := p.mode().rate; rate > 0 {
		clock.interval = time.Duration(float64(time.Second) / rate)
	}
	for good := time.Now(); ctx.Err() == nil; {
		err := v.takeOne(p, &clock, slot)
		var lost *deviceLostError
		switch {
		case err == nil:
			good = time.Now()
		case errors.As(err, &lost):
			return err
		case time.Since(good) > stallTimeout:
			return fmt.Errorf("no picture for %v: %w", stallTimeout, err)
		default:
			v.options.Logger.Debug("picture left out", "device", v.name, "error", err)
			sleep(ctx, 10*time.Millisecond) // a device that fails at once must not take all of a processor
		}
	}
	return nil
}

func (v *sharedCapture) takeOne(p frameStream, clock *frameClock, slot *frameSlot) error {
	img, release, err := p.read()
	if err != nil {
		return err
	}
	arrival := time.Now()
	defer release()
	if w, h := img.Rect.Dx(), img.Rect.Dy(); w < minSide || h < minSide || w > maxSide || h > maxSide {
		return fmt.Errorf("a picture of %dx%d cannot be sent", w, h)
	}
	next := slot.blank()
	next.copyFrom(img)
	next.at = clock.stamp(arrival)
	slot.put(next)
	return nil
}

// reopen tries until the device is back, or ctx ends, which gives nil.
func (v *sharedCapture) reopen(ctx context.Context) frameStream {
	for wait := minRetryDelay; ; wait = min(2*wait, maxRetryDelay) {
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

// sharedCapture is a camera or a screen, which takes its pictures once for all calls that see it. It has one encoder for
// each codec, and size, that somebody wants.
type sharedCapture struct {
	name    string
	device  videoDevice
	options VideoOptions
	mimes   []string // what it may encode to, the preferred first

	worker   sharedWorker
	presence presence

	opening sync.Mutex  // guards open
	open    frameStream // started, and nobody has taken it yet

	mu      sync.Mutex // guards what follows
	streams map[encodingKey]*encodedStream
	start   time.Time // of the first picture, from when all streams count their time
}

// take is the open device: the one that is waiting, or one that is opened now.
func (h *sharedCapture) take() (p frameStream, err error) {
	h.opening.Lock()
	defer h.opening.Unlock()
	if p, h.open = h.open, nil; p == nil {
		p, err = h.device.open()
	}
	return p, err
}

// close gives back a device that nobody has taken.
func (h *sharedCapture) close() {
	h.opening.Lock()
	defer h.opening.Unlock()
	if h.open != nil {
		h.open.close()
		h.open = nil
	}
}

// begin starts the shared worker.
func (h *sharedCapture) begin() (func(context.Context) error, error) {
	open, err := h.take()
	if err != nil {
		return nil, &media.FileError{Path: h.name, Err: err}
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		slot, rate := newFrameSlot(), open.mode().rate
		var work sync.WaitGroup
		work.Go(func() { h.capture(ctx, open, slot) })
		defer work.Wait()
		defer cancel()
		return h.encode(ctx, slot, rate)
	}, nil
}

// encode sends what is in the slot until ctx ends.
func (h *sharedCapture) encode(ctx context.Context, slot *frameSlot, rate float64) error {
	defer h.idle()
	var sizes downscaler
	for {
		p := slot.next(ctx)
		if p == nil {
			return nil
		}
		sizes.use(p)
		err := h.send(&sizes, rate)
		slot.done(p)
		if err != nil {
			return &media.FileError{Path: h.name, Err: err}
		}
	}
}

// send encodes a picture for each stream that somebody sees.
func (h *sharedCapture) send(sizes *downscaler, rate float64) error {
	h.mu.Lock()
	if h.start.IsZero() {
		h.start = sizes.full.at
	}
	start := h.start
	all := make([]*encodedStream, 0, len(h.streams))
	for _, s := range h.streams {
		all = append(all, s)
	}
	h.mu.Unlock()
	for _, s := range all {
		if err := s.send(sizes, rate, start); err != nil {
			return err
		}
	}
	return nil
}

// idle gives the encoders back: who comes later gets new ones.
func (h *sharedCapture) idle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.streams {
		s.encoder.close()
	}
}

// stream is the one of a codec and size.
func (h *sharedCapture) stream(key encodingKey) *encodedStream {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[key]
	if s == nil {
		s = newEncodedStream(key, h.options)
		h.streams[key] = s
	}
	return s
}

// testDevice is a camera that is not there: it sees the test picture.
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

func (d *testDevice) String() string { return "picture" }

func (d *testDevice) open() (frameStream, error) {
	pattern, err := testsignal.NewPattern(d.is.width, d.is.height)
	if err != nil {
		return nil, err
	}
	s := &testStream{is: d.is, pattern: pattern, start: time.Now()}
	s.picture = *image.NewYCbCr(image.Rect(0, 0, d.is.width, d.is.height), image.YCbCrSubsampleRatio420)
	return s, nil
}

// testStream is the test picture at work.
type testStream struct {
	is      mode
	pattern *testsignal.Pattern
	picture image.YCbCr
	start   time.Time
	next    int
}

func (s *testStream) mode() mode { return s.is }

// read waits until the next picture is due. One whose time has passed is left out, so that its number is missing.
func (s *testStream) read() (*image.YCbCr, func(), error) {
	if due := int(time.Since(s.start).Seconds() * s.is.rate); due > s.next {
		s.next = due
	}
	at := time.Duration(float64(s.next) / s.is.rate * float64(time.Second))
	time.Sleep(time.Until(s.start.Add(at)))
	img := s.pattern.Render(uint32(s.next), at, s.start.Add(at)) //nolint:gosec // wraps after years
	swapRedBlue(img.Pix)                                         // it is painted anew next time
	convertBGRX(&s.picture, img.Pix)
	s.next++
	return &s.picture, func() {}, nil
}

func (s *testStream) close() {}

// swapRedBlue makes RGBA of BGRA and the other way round.
func swapRedBlue(pixels []byte) {
	for i := 0; i+3 < len(pixels); i += 4 {
		pixels[i], pixels[i+2] = pixels[i+2], pixels[i]
	}
}

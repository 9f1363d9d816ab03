//go:build linux && cgo

package device

import (
	"context"
	"sync"
	"time"

	"parley/media"
)

// videoHub is a camera or a screen, which takes its pictures once for all calls that see it. It has one encoder for
// each codec, and size, that somebody wants.
type videoHub struct {
	name    string
	device  videoDevice
	options VideoOptions
	mimes   []string // what it may encode to, the preferred first

	crew     crew
	presence presence

	opening sync.Mutex // guards open
	open    pictures   // started, and nobody has taken it yet

	mu      sync.Mutex // guards what follows
	streams map[streamKey]*stream
	start   time.Time // of the first picture, from when all streams count their time
}

// take is the open device: the one that is waiting, or one that is opened now.
func (h *videoHub) take() (p pictures, err error) {
	h.opening.Lock()
	defer h.opening.Unlock()
	if p, h.open = h.open, nil; p == nil {
		p, err = h.device.open()
	}
	return p, err
}

// close gives back a device that nobody has taken.
func (h *videoHub) close() {
	h.opening.Lock()
	defer h.opening.Unlock()
	if h.open != nil {
		h.open.close()
		h.open = nil
	}
}

// begin is the crew's.
func (h *videoHub) begin() (func(context.Context) error, error) {
	open, err := h.take()
	if err != nil {
		return nil, &media.FileError{Path: h.name, Err: err}
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		slot, rate := newLatest(), open.mode().rate
		var work sync.WaitGroup
		work.Go(func() { h.capture(ctx, open, slot) })
		defer work.Wait()
		defer cancel()
		return h.encode(ctx, slot, rate)
	}, nil
}

// encode sends what is in the slot until ctx ends.
func (h *videoHub) encode(ctx context.Context, slot *latest, rate float64) error {
	defer h.idle()
	var sizes pyramid
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
func (h *videoHub) send(sizes *pyramid, rate float64) error {
	h.mu.Lock()
	if h.start.IsZero() {
		h.start = sizes.full.at
	}
	start := h.start
	all := make([]*stream, 0, len(h.streams))
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
func (h *videoHub) idle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.streams {
		s.encoder.close()
	}
}

// stream is the one of a codec and size.
func (h *videoHub) stream(key streamKey) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[key]
	if s == nil {
		s = newStream(key, h.options)
		h.streams[key] = s
	}
	return s
}

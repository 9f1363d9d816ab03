package source

import (
	"sync"
	"sync/atomic"
	"time"

	"parley/media"
)

// layerPatience is how long a layer may be silent before a smaller one takes its place.
const layerPatience = time.Second

// Highest hands on the frames of one of several layers of a picture (simulcast): of the largest that comes. It goes over
// to another with a key frame, which it asks for, so that a decoder or a recording sees one stream whose size changes.
type Highest struct {
	to      media.FrameSink
	current atomic.Pointer[layerSink] // set with mu held

	mu sync.Mutex // keeps frames in order, and guards what is of layers
}

// NewHighest returns a Highest that hands frames to a sink.
func NewHighest(to media.FrameSink) *Highest { return &Highest{to: to} }

// Layer is where the frames of one more layer go. request asks the sender for a key frame of that layer, and must not block.
func (h *Highest) Layer(request func()) media.FrameSink { return &layerSink{of: h, request: request} }

// RequestKeyFrame asks for a key frame of the layer that is handed on. The sink may call it from WriteFrame.
func (h *Highest) RequestKeyFrame() {
	if l := h.current.Load(); l != nil {
		l.request()
	}
}

type layerSink struct {
	of      *Highest
	request func()
	area    int
	last    time.Time // frame
}

// WriteFrame implements media.FrameSink.
func (l *layerSink) WriteFrame(f media.Frame) error {
	h := l.of
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.Width > 0 {
		l.area = f.Width * f.Height
	}
	l.last = f.Arrival
	now := h.current.Load()
	switch {
	case l == now:
	case now != nil && l.area <= now.area && f.Arrival.Sub(now.last) <= layerPatience:
		return nil
	case !f.Key:
		l.request()
		return nil
	default:
		h.current.Store(l)
	}
	return h.to.WriteFrame(f)
}

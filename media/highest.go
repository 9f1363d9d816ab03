package media

import (
	"sync"
	"time"
)

// layerPatience is how long a layer may be silent before a smaller one takes its place.
const layerPatience = time.Second

// Highest hands on the frames of one of several layers of a picture (simulcast): of the largest that comes. It goes over
// to another with a key frame, so that a decoder or a recording sees one stream whose size changes.
type Highest struct {
	to FrameSink

	mu      sync.Mutex // guards what follows, and keeps frames in order
	current *layerSink
}

// NewHighest returns a Highest that hands frames to a sink.
func NewHighest(to FrameSink) *Highest { return &Highest{to: to} }

// Layer is where the frames of one more layer go.
func (h *Highest) Layer() FrameSink { return &layerSink{of: h} }

type layerSink struct {
	of   *Highest
	area int
	last time.Time // frame
}

// WriteFrame implements FrameSink.
func (l *layerSink) WriteFrame(f Frame) error {
	h := l.of
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.Width > 0 {
		l.area = f.Width * f.Height
	}
	l.last = f.Arrival
	if l != h.current && f.Key && (h.current == nil || l.area > h.current.area || f.Arrival.Sub(h.current.last) > layerPatience) {
		h.current = l
	}
	if l != h.current {
		return nil
	}
	return h.to.WriteFrame(f)
}

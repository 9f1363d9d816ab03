package receiver

import (
	"sync"
	"sync/atomic"
	"time"

	"parley/media"
)

// layerTimeout is how long a layer may be silent before a smaller one replaces it.
const layerTimeout = time.Second

// A SimulcastSelector passes on the frames of the largest layer of a simulcast that arrives. It
// switches layers at a key frame, which it requests, so that a decoder or a recording gets one
// stream whose size changes.
type SimulcastSelector struct {
	sink    media.FrameSink
	current atomic.Pointer[layerSink] // stored with mu held

	mu sync.Mutex // guards the fields of all layers, and keeps frames in order
}

// NewSimulcastSelector returns a SimulcastSelector that passes frames on to sink.
func NewSimulcastSelector(sink media.FrameSink) *SimulcastSelector {
	return &SimulcastSelector{sink: sink}
}

// Layer returns the sink of one more layer. request asks the sender for a key frame of this layer
// and must not block.
func (s *SimulcastSelector) Layer(request func()) media.FrameSink {
	return &layerSink{selector: s, request: request}
}

// RequestKeyFrame requests a key frame of the layer that is passed on. The sink may call it from
// WriteFrame.
func (s *SimulcastSelector) RequestKeyFrame() {
	if l := s.current.Load(); l != nil {
		l.request()
	}
}

type layerSink struct {
	selector *SimulcastSelector
	request  func()
	area     int       // pixels of the latest key frame
	last     time.Time // arrival of the latest frame
}

// WriteFrame implements media.FrameSink.
func (l *layerSink) WriteFrame(f media.Frame) error {
	s := l.selector
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Width > 0 {
		l.area = f.Width * f.Height
	}
	l.last = f.Arrival
	current := s.current.Load()
	switch {
	case l == current:
	case current != nil && l.area <= current.area && f.Arrival.Sub(current.last) <= layerTimeout:
		return nil
	case !f.Key:
		l.request()
		return nil
	default:
		s.current.Store(l)
	}
	return s.sink.WriteFrame(f)
}

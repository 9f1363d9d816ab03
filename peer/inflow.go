package peer

import (
	"bytes"
	"sync"

	"github.com/pion/interceptor"
)

// Media may come before the answer that announces it (RFC 8829 §5.3). Pion then
// takes the stream for one of a simulcast, reads its first packets in search of a
// name, and when it gives up unbinds the stream from the interceptors, though the
// answer has bound it as well meanwhile (pion/webrtc#3197 left that so): no
// reports and no requests for lost packets go out any more, and the picture
// begins without the packets that were looked at. inflows sits between Pion and
// the interceptors, and makes one of what is bound twice.

// maxEarly is how many packets of a stream are kept for who binds it later: more
// than Pion looks at, which is 12.
const maxEarly = 16

// maxUnbound is how many streams are remembered that nobody has bound now.
const maxUnbound = 32

// inflows are the incoming RTP streams of a connection. It is their interceptor,
// and all others are inside.
type inflows struct {
	interceptor.Interceptor
	mu      sync.Mutex // protects following
	streams map[uint32]*inflow
}

// inflowFactory makes the interceptors of a registry one.
type inflowFactory struct{ inside *interceptor.Registry }

// NewInterceptor implements interceptor.Factory.
func (f inflowFactory) NewInterceptor(id string) (interceptor.Interceptor, error) {
	inside, err := f.inside.Build(id)
	return &inflows{Interceptor: inside, streams: map[uint32]*inflow{}}, err
}

// inflow is one stream, however often it is bound.
type inflow struct {
	bound int // how often, now; protected by inflows.mu

	mu    sync.Mutex // protects following
	chain interceptor.RTPReader
	early [][]byte // the first packets, maxEarly at most
	past  bool     // somebody has read all of them: they are kept no longer
}

// BindRemoteStream implements interceptor.Interceptor.
func (s *inflows) BindRemoteStream(info *interceptor.StreamInfo, from interceptor.RTPReader) interceptor.RTPReader {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.streams[info.SSRC]
	if f == nil {
		f = &inflow{}
		s.streams[info.SSRC] = f
	}
	if f.bound++; f.bound > 1 { // only now is it known what is negotiated for it
		s.Interceptor.UnbindRemoteStream(info)
	}
	f.mu.Lock()
	f.chain = s.Interceptor.BindRemoteStream(info, from)
	f.mu.Unlock()
	return &inflowReader{inflow: f}
}

// UnbindRemoteStream implements interceptor.Interceptor.
func (s *inflows) UnbindRemoteStream(info *interceptor.StreamInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.streams[info.SSRC]
	if f == nil || f.bound == 0 {
		return
	}
	if f.bound--; f.bound > 0 {
		return
	}
	s.Interceptor.UnbindRemoteStream(info)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.past || len(s.streams) > maxUnbound {
		delete(s.streams, info.SSRC)
	}
}

// inflowReader reads a stream for one who has bound it.
type inflowReader struct {
	*inflow
	next int // of early
}

// Read implements interceptor.RTPReader: each reader gets the early packets, and
// of the rest those that no other one has read.
func (r *inflowReader) Read(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
	r.mu.Lock()
	chain := r.chain
	if r.next < len(r.early) {
		defer r.mu.Unlock()
		return r.replay(b)
	}
	r.mu.Unlock()
	n, a, err := chain.Read(b, a)
	if err != nil {
		return n, a, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.past || len(r.early) == maxEarly {
		if r.next >= len(r.early) {
			r.early, r.past = nil, true
		}
		return n, a, nil
	}
	r.early = append(r.early, bytes.Clone(b[:n]))
	if r.next == len(r.early)-1 {
		r.next++
		return n, a, nil
	}
	return r.replay(b) // another one has read meanwhile what came before
}

// replay is called with mu held.
func (r *inflowReader) replay(b []byte) (int, interceptor.Attributes, error) {
	n := copy(b, r.early[r.next])
	r.next++
	return n, interceptor.Attributes{}, nil
}

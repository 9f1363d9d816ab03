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

// rtpVersion2 is the first byte of an RTP header with nothing but its 12 bytes.
const rtpVersion2 = 2 << 6

// maxUnbound is how many streams are remembered that nobody has bound now.
const maxUnbound = 32

// inflows are the incoming RTP streams of a connection. It is their interceptor,
// and all others are inside.
type inflows struct {
	interceptor.Interceptor
	names  *names
	closed chan struct{}

	mu      sync.Mutex // protects following
	streams map[uint32]*inflow
}

// inflowFactory makes the interceptors of a registry one.
type inflowFactory struct {
	inside *interceptor.Registry
	names  *names
}

// NewInterceptor implements interceptor.Factory.
func (f inflowFactory) NewInterceptor(id string) (interceptor.Interceptor, error) {
	inside, err := f.inside.Build(id)
	return &inflows{Interceptor: inside, names: f.names, closed: make(chan struct{}), streams: map[uint32]*inflow{}}, err
}

// Close implements interceptor.Interceptor.
func (s *inflows) Close() error {
	close(s.closed)
	return s.Interceptor.Close()
}

// inflow is one stream, however often it is bound.
type inflow struct {
	bound int           // how often, now; protected by inflows.mu
	again chan struct{} // closed and replaced when it is bound; protected by inflows.mu

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
		f = &inflow{again: make(chan struct{})}
		s.streams[info.SSRC] = f
	}
	close(f.again)
	f.again = make(chan struct{})
	if f.bound++; f.bound > 1 { // only now is it known what is negotiated for it
		s.Interceptor.UnbindRemoteStream(info)
	}
	f.mu.Lock()
	f.chain = s.Interceptor.BindRemoteStream(info, from)
	f.mu.Unlock()
	return &inflowReader{
		inflow: f, of: s, ssrc: info.SSRC, again: f.again, searching: f.bound == 1 && s.names.looks(info.SSRC),
	}
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
	of   *inflows
	ssrc uint32
	next int // of early

	again     <-chan struct{} // closed when another one has bound the stream
	searching bool            // for its name, which Pion is going to look for, see naming.go
	lost      bool            // what there was to search for
	marks     []mark          // for the packet by which Pion will find it
}

// Read implements interceptor.RTPReader: each reader gets the early packets, and
// of the rest those that no other one has read.
func (r *inflowReader) Read(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
	if r.searching {
		r.searching = false
		if err := r.search(b); err != nil {
			return 0, a, err
		}
	}
	if r.lost { // Pion gives up after a few packets; after none it would not unbind the stream
		return copy(b, []byte{rtpVersion2, 11: 0}), interceptor.Attributes{}, nil
	}
	n, a, err := r.read(b, a)
	if err == nil && len(r.marks) > 0 {
		n = r.marked(b, n)
	}
	return n, a, err
}

func (r *inflowReader) read(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
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

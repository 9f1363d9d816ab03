// Package demux assigns incoming RTP streams to media sections.
//
// Media may come before the answer that announces it (RFC 9429 section 5.3). Pion then takes the
// stream for one of a simulcast and probes its first packets for a RID. When it gives up it unbinds
// the stream from the interceptors, although the answer has bound it as well meanwhile
// (pion/webrtc#3197): no reports and no NACKs are sent from then on, and the first packets are
// lost. The Demuxer sits between Pion and the other interceptors and makes one stream of what is
// bound twice.
//
// A description need not declare SSRCs. What comes in belongs to the section of its MID, else to
// the only one with its payload type (RFC 9143 section 9.2). Pion does so only for streams with a
// RID. The Demuxer gives such streams the MID and a synthetic RID.
package demux

import (
	"bytes"
	"io"
	"sync"

	"github.com/pion/interceptor"
)

// maxEarly is how many packets of a stream are kept for a later reader. Pion probes 12.
const maxEarly = 16

// rtpVersion2 is the first byte of an RTP header without padding, extension or CSRCs.
const rtpVersion2 = 2 << 6

// maxUnbound is how many streams are kept that are not bound.
const maxUnbound = 32

// Demuxer is an interceptor that contains all others of one connection.
type Demuxer struct {
	interceptor.Interceptor // the others
	table                   *demuxTable
	closed                  chan struct{}

	mu       sync.Mutex // guards the following
	streams  map[uint32]*stream
	probes   []chan struct{} // of unknown streams, oldest first; closed to give the stream up
	reading  int             // goroutines of readAhead
	reported int             // unknown streams
}

// New returns the demuxer of one connection.
func New(config Config) *Demuxer {
	return &Demuxer{table: newDemuxTable(config), closed: make(chan struct{}), streams: map[uint32]*stream{}}
}

// Factory returns the interceptor factory of the demuxer, which puts the interceptors of inner into
// it.
func (d *Demuxer) Factory(inner *interceptor.Registry) interceptor.Factory { return factory{d, inner} }

type factory struct {
	demuxer *Demuxer
	inner   *interceptor.Registry
}

// NewInterceptor implements interceptor.Factory. A demuxer serves one connection.
func (f factory) NewInterceptor(id string) (_ interceptor.Interceptor, err error) {
	f.demuxer.Interceptor, err = f.inner.Build(id)
	return f.demuxer, err
}

// Close implements interceptor.Interceptor.
func (d *Demuxer) Close() error {
	close(d.closed)
	return d.Interceptor.Close()
}

// stream is one incoming stream, however often it is bound.
type stream struct {
	bound   int           // how often, now; guarded by Demuxer.mu
	rebound chan struct{} // closed and replaced when it is bound; guarded by Demuxer.mu

	mu       sync.Mutex // guards the following
	chain    interceptor.RTPReader
	early    [][]byte // the first packets, maxEarly at most
	complete bool     // a reader has read all of early: no more are kept
}

// BindRemoteStream implements interceptor.Interceptor.
func (d *Demuxer) BindRemoteStream(info *interceptor.StreamInfo, from interceptor.RTPReader) interceptor.RTPReader {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.streams[info.SSRC]
	if s == nil {
		s = &stream{rebound: make(chan struct{})}
		d.streams[info.SSRC] = s
	}
	close(s.rebound)
	s.rebound = make(chan struct{})
	if s.bound++; s.bound > 1 { // only now is it known what is negotiated for it
		d.Interceptor.UnbindRemoteStream(info)
	}
	s.mu.Lock()
	s.chain = d.Interceptor.BindRemoteStream(info, from)
	s.mu.Unlock()
	return &reader{
		stream: s, demuxer: d, ssrc: info.SSRC, rebound: s.rebound, probing: s.bound == 1 && d.table.probed(info.SSRC),
	}
}

// UnbindRemoteStream implements interceptor.Interceptor.
func (d *Demuxer) UnbindRemoteStream(info *interceptor.StreamInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.streams[info.SSRC]
	if s == nil || s.bound == 0 {
		return
	}
	if s.bound--; s.bound > 0 {
		return
	}
	d.Interceptor.UnbindRemoteStream(info)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.complete || len(d.streams) > maxUnbound {
		delete(d.streams, info.SSRC)
	}
}

// reader reads a stream for one that has bound it.
type reader struct {
	*stream
	demuxer *Demuxer
	ssrc    uint32
	next    int // of early

	rebound <-chan struct{} // closed when the stream is bound again
	probing bool            // Pion is about to probe the stream
	given   bool            // up: there is nothing to probe any more
	empty   int             // packets without a payload that were returned since
	marks   []extension     // for the packet by which Pion assigns the stream
}

// Read implements interceptor.RTPReader. Each reader gets the early packets, and of the rest those
// that no other one has read.
func (r *reader) Read(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
	if r.probing {
		r.probing = false
		if err := r.probe(b); err != nil {
			return 0, a, err
		}
	}
	if r.given { // Pion unbinds the stream after a few packets without a RID, but not after an error
		if r.empty++; r.empty > maxEarly {
			return 0, a, io.EOF
		}
		return copy(b, []byte{rtpVersion2, 11: 0}), interceptor.Attributes{}, nil
	}
	n, a, err := r.read(b, a)
	if err == nil && len(r.marks) > 0 {
		n = r.mark(b, n)
	}
	return n, a, err
}

func (r *reader) read(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
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
	if r.complete || len(r.early) == maxEarly {
		if r.next >= len(r.early) {
			r.early, r.complete = nil, true
		}
		return n, a, nil
	}
	r.early = append(r.early, bytes.Clone(b[:n]))
	if r.next == len(r.early)-1 {
		r.next++
		return n, a, nil
	}
	return r.replay(b) // another reader has read earlier packets meanwhile
}

// replay returns the next early packet. mu is held.
func (r *reader) replay(b []byte) (int, interceptor.Attributes, error) {
	n := copy(b, r.early[r.next])
	r.next++
	return n, interceptor.Attributes{}, nil
}

package demux

import (
	"bytes"
	"io"
	"time"

	"github.com/pion/rtp"
)

// Pion probes the first packets of a stream once, and never reads a stream in which it finds no
// RID. So an unknown stream is kept from Pion: until the answer has come in, until another reader
// binds it, or for good.

const (
	// unknownTimeout is how long a stream may be unknown before it is reported.
	unknownTimeout = 5 * time.Second
	// probeInterval is the longest time between two lookups.
	probeInterval = time.Second
)

// probe reads ahead until the section of the stream is known or another reader has bound it. Its
// error is that of reading.
func (r *reader) probe(b []byte) error {
	for {
		full, err := r.readAhead(b)
		if err != nil {
			return err
		}
		if _, done := r.lookup(); done {
			return nil
		}
		if full {
			return r.waitForSignaling()
		}
	}
}

// readAhead reads a packet into early, and reports whether early is full.
func (r *reader) readAhead(b []byte) (full bool, err error) {
	r.mu.Lock()
	chain := r.chain
	r.mu.Unlock()
	n, _, err := chain.Read(b, nil)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.complete && len(r.early) < maxEarly {
		r.early = append(r.early, bytes.Clone(b[:n]))
	}
	return r.complete || len(r.early) == maxEarly, nil
}

// lookup looks the early packets up, and reports whether probing is done. If not, it returns the
// payload type of a stream that may belong to no section, -1 for none.
func (r *reader) lookup() (payloadType int, done bool) {
	select {
	case <-r.rebound:
		r.given = true
		return -1, true
	default:
	}
	r.mu.Lock()
	early := r.early
	r.mu.Unlock()
	payloadType = -1
	for _, packet := range early {
		marks, result := r.demuxer.table.lookup(packet, r.ssrc)
		if result == resolved {
			r.marks = marks
			return -1, true
		}
		if result == unknown {
			payloadType = int(packet[1] & 0x7f)
		}
	}
	return payloadType, false
}

// waitForSignaling waits until the section of the stream is known.
func (r *reader) waitForSignaling() error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for start, reported := time.Now(), false; ; {
		updated := r.demuxer.table.nextUpdate()
		payloadType, done := r.lookup()
		if done {
			return nil
		}
		if payloadType >= 0 && !reported && time.Since(start) >= unknownTimeout {
			reported = true
			r.demuxer.table.config.OnUnknown(UnknownStream{r.ssrc, payloadType})
		}
		select {
		case <-updated:
		case <-tick.C:
		case <-r.rebound:
		case <-r.demuxer.closed:
			return io.EOF
		}
	}
}

// mark adds the header extensions to the packet of n bytes in b, if there is room, and returns its
// size.
func (r *reader) mark(b []byte, n int) int {
	p := rtp.Packet{}
	if err := p.Unmarshal(bytes.Clone(b[:n])); err != nil {
		return n
	}
	for _, m := range r.marks {
		if err := p.SetExtension(m.id, m.value); err != nil {
			return n
		}
	}
	size, err := p.MarshalTo(b)
	if err != nil {
		return n
	}
	r.marks = nil
	return size
}

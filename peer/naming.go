package peer

import (
	"bytes"
	"io"
	"time"

	"github.com/pion/rtp"
)

// Pion looks at the first packets of a stream once, and what it finds no name in
// is never heard. So a stream of which nothing is known is kept from Pion: until
// there is the answer that is on its way, until somebody who knows the stream
// binds it, or for good.

const (
	// namePatience is how long a stream may be without a name before it is told.
	namePatience = 5 * time.Second
	// nameInterval is how often its name is looked for at least.
	nameInterval = time.Second
)

// search reads ahead until there is a name for the stream, or it is no longer
// the reader's to have one. The error is that of reading.
func (r *inflowReader) search(b []byte) error {
	for {
		full, err := r.ahead(b)
		if err != nil {
			return err
		}
		if _, over := r.named(); over {
			return nil
		}
		if full {
			return r.await()
		}
	}
}

// ahead reads a packet that will be read again, and tells if there is room for
// no more such.
func (r *inflowReader) ahead(b []byte) (full bool, err error) {
	r.mu.Lock()
	chain := r.chain
	r.mu.Unlock()
	n, _, err := chain.Read(b, nil)
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.past && len(r.early) < maxEarly {
		r.early = append(r.early, bytes.Clone(b[:n]))
	}
	return r.past || len(r.early) == maxEarly, nil
}

// named looks at what has come, and tells if the search is over; if not, payload
// is the payload type of what may be in no section at all, -1 for none such.
func (r *inflowReader) named() (payload int, over bool) {
	select {
	case <-r.again:
		r.lost = true
		return -1, true
	default:
	}
	r.mu.Lock()
	early := r.early
	r.mu.Unlock()
	payload = -1
	for _, packet := range early {
		marks, what := r.of.names.find(packet, r.ssrc)
		if what == found {
			r.marks = marks
			return -1, true
		}
		if what == nothing {
			payload = int(packet[1] & 0x7f)
		}
	}
	return payload, false
}

// await waits until there is a name for what has come.
func (r *inflowReader) await() error {
	tick := time.NewTicker(nameInterval)
	defer tick.Stop()
	for since, told := time.Now(), false; ; {
		changed := r.of.names.next()
		payload, over := r.named()
		if over {
			return nil
		}
		if payload >= 0 && !told && time.Since(since) >= namePatience {
			told = true
			r.of.names.strange(unheard{r.ssrc, payload})
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-r.again:
		case <-r.of.closed:
			return io.EOF
		}
	}
}

// marked puts the name of the stream into the packet of n bytes in b, if there
// is room, and returns its size.
func (r *inflowReader) marked(b []byte, n int) int {
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

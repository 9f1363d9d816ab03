package demux

import (
	"bytes"
	"io"
	"slices"
	"time"

	"github.com/pion/rtp"
)

// Pion probes the first packets of a stream once, and never reads a stream in which it finds no
// RID. So an unknown stream is kept from Pion until its section is known, or another reader binds
// it. But Pion probes 24 streams at once at most, and never reads those that come in meanwhile
// (pion/webrtc simulcastMaxProbeRoutines). So the oldest unknown stream is given up for a new one.

const (
	// maxProbes is how many unknown streams are kept from Pion.
	maxProbes = 12
	// maxReading bounds the goroutines that wait for a second packet of an unknown stream. Those of
	// a stream that was given up remain until it comes in.
	maxReading = 64
	// maxReported bounds the reports of unknown streams.
	maxReported = 32
	// unknownTimeout is how long a stream may be unknown before it is reported.
	unknownTimeout = 5 * time.Second
	// probeInterval is the longest time between two lookups. Pion does not say when a transceiver
	// is ready.
	probeInterval = 200 * time.Millisecond
	// maxPacketSize is that of an RTP packet, in bytes.
	maxPacketSize = 1 << 16
)

// probe waits until the section of the stream is known, another reader has bound it, or it is given
// up for a newer unknown stream. Its error is that of reading.
func (r *reader) probe(b []byte) error {
	if _, err := r.readAhead(b); err != nil { // does not block: Pion has peeked the packet
		return err
	}
	if _, done := r.lookup(); done {
		return nil
	}
	givenUp, stop := r.demuxer.startProbe()
	defer stop()
	packets, stopReading := r.startReading()
	defer stopReading()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	timeout := time.NewTimer(unknownTimeout)
	defer timeout.Stop()
	for {
		updated := r.demuxer.table.nextUpdate()
		payloadType, done := r.lookup()
		if done {
			return nil
		}
		select {
		case err := <-packets:
			if err != nil {
				return err
			}
		case <-updated:
		case <-tick.C:
		case <-r.rebound:
		case <-timeout.C:
			r.report(payloadType)
		case <-givenUp:
			if timeout.Stop() {
				r.report(payloadType)
			}
			r.given = true
			return nil
		case <-r.demuxer.closed:
			return io.EOF
		}
	}
}

// startProbe gives the oldest unknown stream up if there are too many. It returns a channel that is
// closed when the new one is given up, and a function that ends the probe.
func (d *Demuxer) startProbe() (givenUp <-chan struct{}, stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.probes) == maxProbes {
		close(d.probes[0])
		d.probes = d.probes[1:]
	}
	probe := make(chan struct{})
	d.probes = append(d.probes, probe)
	return probe, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.probes = slices.DeleteFunc(d.probes, func(p chan struct{}) bool { return p == probe })
	}
}

// startReading reads ahead on a goroutine, because the peer may stop after any packet. packets gets
// the result of each Read. The goroutine ends with the first Read after stop, or when the
// connection is closed.
func (r *reader) startReading() (packets <-chan error, stop func()) {
	d := r.demuxer
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reading == maxReading {
		return nil, func() {} // the first packet has to do
	}
	d.reading++
	results, stopped := make(chan error), make(chan struct{})
	go func() {
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.reading--
		}()
		for b := make([]byte, maxPacketSize); ; {
			full, err := r.readAhead(b)
			select {
			case results <- err:
			case <-stopped:
				return
			}
			if full || err != nil {
				return
			}
		}
	}()
	return results, func() { close(stopped) }
}

// report reports the stream as unknown; payloadType is -1 for one that is known, but not ready.
func (r *reader) report(payloadType int) {
	d := r.demuxer
	d.mu.Lock()
	defer d.mu.Unlock()
	if payloadType >= 0 && d.reported < maxReported {
		d.reported++
		d.table.config.OnUnknown(UnknownStream{r.ssrc, payloadType})
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

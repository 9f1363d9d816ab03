package bwe

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// Bounds of retransmissions. A peer that loses packets on a full path sends NACKs every few
// milliseconds, and Pion answers all of them: thirty times the capacity of the path has been
// measured, which kept it full. Retransmissions above the bounds are queued, not dropped: libwebrtc
// gives a packet up after ten NACKs and then freezes for 3 s until it requests a key frame.
const (
	// rtxShare is the share of the target bitrate for retransmissions. New frames are dropped
	// meanwhile: they are of no use without the frames they refer to.
	rtxShare      = 0.8
	minRTXBitrate = 100_000 // bit/s
	// rtxBurst is how much of the allowance may be sent at once.
	rtxBurst = 100 * time.Millisecond
	// minRTXInterval is the shortest time between two retransmissions of a packet, if the feedback
	// delay is not longer.
	minRTXInterval = 10 * time.Millisecond
	maxQueuedRTX   = 128
)

// RTXLimiter returns the interceptor that limits retransmissions. It must precede the one that adds
// transport-wide sequence numbers: a number that is not sent looks like loss to the peer.
func (c *Controller) RTXLimiter() interceptor.Factory { return &rtxInterceptor{controller: c} }

type rtxInterceptor struct {
	interceptor.NoOp
	controller *Controller
}

// NewInterceptor implements interceptor.Factory. It serves one connection.
func (i *rtxInterceptor) NewInterceptor(string) (interceptor.Interceptor, error) { return i, nil }

// BindLocalStream implements interceptor.Interceptor.
func (i *rtxInterceptor) BindLocalStream(info *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	c := i.controller
	r := &rtxLimiter{window: c.window, queued: &c.window.queuedRTX, write: w.Write}
	c.mu.Lock()
	c.limiters[info.SSRC] = r
	c.mu.Unlock()
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		target, now := int(c.bitrate.Load()), c.now()
		r.drain(target, now)
		if !r.admit(h, payload, a, h.SSRC == info.SSRC, target, now) {
			return len(payload), nil // queued, or a duplicate
		}
		return w.Write(h, payload, a)
	})
}

// UnbindLocalStream implements interceptor.Interceptor.
func (i *rtxInterceptor) UnbindLocalStream(info *interceptor.StreamInfo) {
	c := i.controller
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.limiters[info.SSRC]; r != nil {
		r.clear()
		delete(c.limiters, info.SSRC)
	}
}

// drainRTX sends queued retransmissions of all streams.
func (c *Controller) drainRTX() {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.limiters))
	c.mu.Unlock()
	for _, r := range all {
		r.drain(int(c.bitrate.Load()), c.now())
	}
}

// rtxLimiter schedules the retransmissions of one stream.
type rtxLimiter struct {
	window *congestionWindow
	queued *atomic.Int32 // retransmissions queued on the connection
	write  func(*rtp.Header, []byte, interceptor.Attributes) (int, error)

	mu      sync.Mutex // guards the following
	started bool
	highest uint16             // sequence number of the stream
	history [256]retransmitted // the latest ones, by the low bits of their sequence number
	debt    time.Duration      // what was sent, in time that the allowance takes for it
	debtAt  time.Time
	queue   []queuedRTX
}

type retransmitted struct {
	number uint16
	queued bool
	at     time.Time
}

type queuedRTX struct {
	header     rtp.Header
	payload    []byte
	attributes interceptor.Attributes
	number     uint16
}

// admit reports whether a packet may be sent now, and queues a copy of one that may be sent later.
// target is the target bitrate in bit/s. own is false for packets of the RTX SSRC, whose payload
// begins with the original sequence number (RFC 4588 section 4).
func (r *rtxLimiter) admit(h *rtp.Header, payload []byte, a interceptor.Attributes, own bool, target int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	number := h.SequenceNumber
	if own {
		if !r.started || int16(number-r.highest) > 0 {
			r.started, r.highest = true, number
			return true
		}
	} else if len(payload) >= 2 {
		number = uint16(payload[0])<<8 | uint16(payload[1])
	}
	last := &r.history[number%uint16(len(r.history))]
	if last.number == number && (last.queued || now.Sub(last.at) < max(minRTXInterval, r.window.feedbackDelay())) {
		return false
	}
	if len(r.queue) == 0 && r.hasRoom(now) {
		r.spend(number, len(payload), target, now)
		return true
	}
	if len(r.queue) < maxQueuedRTX {
		*last = retransmitted{number, true, now}
		r.queue = append(r.queue, queuedRTX{h.Clone(), append([]byte(nil), payload...), a, number})
		r.queued.Add(1)
	}
	return false
}

// hasRoom reports whether a retransmission may be sent now. mu is held.
func (r *rtxLimiter) hasRoom(now time.Time) bool {
	r.debt = max(0, r.debt-now.Sub(r.debtAt))
	r.debtAt = now
	return r.debt <= rtxBurst && !r.window.full.Load()
}

// spend accounts for a retransmission of size bytes. mu is held.
func (r *rtxLimiter) spend(number uint16, size, target int, now time.Time) {
	allowed := max(minRTXBitrate, int(float64(target)*rtxShare))
	r.debt += time.Duration(size*8) * time.Second / time.Duration(allowed)
	r.history[number%uint16(len(r.history))] = retransmitted{number, false, now}
}

// drain sends from the queue what may be sent now.
func (r *rtxLimiter) drain(target int, now time.Time) {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 || !r.hasRoom(now) {
			r.mu.Unlock()
			return
		}
		p := r.queue[0]
		r.queue = r.queue[1:]
		r.spend(p.number, len(p.payload), target, now)
		r.mu.Unlock()
		r.queued.Add(-1)
		_, _ = r.write(&p.header, p.payload, p.attributes) // on failure it is lost once more
	}
}

// clear drops the queue.
func (r *rtxLimiter) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queued.Add(-int32(len(r.queue)))
	r.queue = nil
}

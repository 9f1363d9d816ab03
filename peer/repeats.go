package peer

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// Bounds of what is sent again. Who loses packets because the path is full asks for them every few milliseconds, and
// Pion sends each time: thirty times what the path carries has been seen, which kept it full. What has to wait is sent
// later: libwebrtc gives a packet up after ten requests, and then stands still until it asks for a key frame, 3 s later.
const (
	// repeatShare of what the connection carries may be repeats, and no less than leastRepeats bit/s. New pictures
	// wait meanwhile, because they would be of no use without what they build upon.
	repeatShare  = 0.8
	leastRepeats = 100_000
	// repeatBurst is how much of that may go at once.
	repeatBurst = 100 * time.Millisecond
	// repeatPause is the shortest time between two repeats of a packet, if packets do not take longer.
	repeatPause = 10 * time.Millisecond
	// mostOwed is how many repeats wait at most.
	mostOwed = 128
)

// repeatGate keeps back what would be sent again too often. It comes before what numbers the packets for congestion
// control: a number that is not sent looks like loss to the other side, so less would be sent, and more kept back.
type repeatGate struct {
	interceptor.NoOp
	bw *bandwidth
}

// NewInterceptor implements interceptor.Factory: it is its connection's only one.
func (g *repeatGate) NewInterceptor(string) (interceptor.Interceptor, error) { return g, nil }

// BindLocalStream implements interceptor.Interceptor.
func (g *repeatGate) BindLocalStream(info *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	b := g.bw
	r := &repeats{window: b.window, owing: &b.window.owing, write: w.Write}
	b.mu.Lock()
	b.repeats[info.SSRC] = r
	b.mu.Unlock()
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		target, now := int(b.known.Load()), b.now()
		r.pay(target, now)
		if !r.admit(h, payload, a, h.SSRC == info.SSRC, target, now) {
			return len(payload), nil // later, or as if the network had lost it
		}
		return w.Write(h, payload, a)
	})
}

// UnbindLocalStream implements interceptor.Interceptor.
func (g *repeatGate) UnbindLocalStream(info *interceptor.StreamInfo) {
	b := g.bw
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.repeats[info.SSRC]; r != nil {
		r.forget()
		delete(b.repeats, info.SSRC)
	}
}

// payRepeats sends what had to wait.
func (b *bandwidth) payRepeats() {
	b.mu.Lock()
	all := slices.Collect(maps.Values(b.repeats))
	b.mu.Unlock()
	for _, r := range all {
		r.pay(int(b.known.Load()), b.now())
	}
}

// repeats decides which packets of one stream are sent again, and when.
type repeats struct {
	window *window
	owing  *atomic.Int32 // repeats that wait, of all streams of the connection
	write  func(*rtp.Header, []byte, interceptor.Attributes) (int, error)

	mu      sync.Mutex // guards what follows
	started bool
	highest uint16        // sequence number of the stream
	sent    [256]repeated // the latest repeats, by the low bits of their number
	debt    time.Duration // what has been sent, in time that the allowance needs for it
	at      time.Time     // of debt
	owed    []owedRepeat
}

type repeated struct {
	number uint16
	owed   bool // it has been asked for, and waits
	at     time.Time
}

type owedRepeat struct {
	header     rtp.Header
	payload    []byte
	attributes interceptor.Attributes
	number     uint16
}

// admit tells if a packet may go now; target is what the connection carries in bit/s. Those of another SSRC than the
// stream's have the number of the packet that they repeat in front (RFC 4588 §4). What is to go later is copied.
func (r *repeats) admit(h *rtp.Header, payload []byte, a interceptor.Attributes, own bool, target int, now time.Time) bool {
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
	last := &r.sent[number%uint16(len(r.sent))]
	if last.number == number && (last.owed || now.Sub(last.at) < max(repeatPause, r.window.delay())) {
		return false
	}
	if len(r.owed) == 0 && r.room(now) {
		r.spend(number, len(payload), target, now)
		return true
	}
	if len(r.owed) < mostOwed {
		*last = repeated{number, true, now}
		r.owed = append(r.owed, owedRepeat{h.Clone(), append([]byte(nil), payload...), a, number})
		r.owing.Add(1)
	}
	return false
}

// room tells if a repeat may go now.
func (r *repeats) room(now time.Time) bool {
	r.debt = max(0, r.debt-now.Sub(r.at))
	r.at = now
	return r.debt <= repeatBurst && !r.window.full.Load()
}

func (r *repeats) spend(number uint16, size, target int, now time.Time) {
	allowed := max(leastRepeats, int(float64(target)*repeatShare))
	r.debt += time.Duration(size*8) * time.Second / time.Duration(allowed)
	r.sent[number%uint16(len(r.sent))] = repeated{number, false, now}
}

// pay sends what has waited, as much as may go now.
func (r *repeats) pay(target int, now time.Time) {
	for {
		r.mu.Lock()
		if len(r.owed) == 0 || !r.room(now) {
			r.mu.Unlock()
			return
		}
		p := r.owed[0]
		r.owed = r.owed[1:]
		r.spend(p.number, len(p.payload), target, now)
		r.mu.Unlock()
		r.owing.Add(-1)
		_, _ = r.write(&p.header, p.payload, p.attributes) // one more that is lost
	}
}

// forget drops what waits.
func (r *repeats) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owing.Add(-int32(len(r.owed)))
	r.owed = nil
}

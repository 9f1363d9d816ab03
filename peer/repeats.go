package peer

import (
	"sync"
	"time"

	"github.com/pion/rtp"
)

// Bounds of what is sent again. Who loses packets because the path is full asks for them every few milliseconds, and
// Pion sends each time: thirty times what the path carries has been seen, which kept it full. libwebrtc bounds it too.
const (
	// repeatShare of what the connection carries may be repeats, and no less than leastRepeats bit/s.
	repeatShare  = 0.3
	leastRepeats = 100_000
	// repeatBurst is how much of that may go at once, which is a key frame of a small picture.
	repeatBurst = 250 * time.Millisecond
	// repeatPause is the shortest time between two repeats of a packet.
	repeatPause = 10 * time.Millisecond
)

// repeats decides which packets of one stream are sent again.
type repeats struct {
	mu      sync.Mutex // guards what follows
	started bool
	highest uint16        // sequence number of the stream
	sent    [256]repeated // the latest repeats, by the low bits of their number
	debt    time.Duration // what has been sent, in time that the allowance needs for it
	at      time.Time     // of debt
}

type repeated struct {
	number uint16
	at     time.Time
}

// admit tells if a packet may go; size is in bytes, target what the connection carries in bit/s. Those of another SSRC
// than the stream's have the number of the packet that they repeat in front (RFC 4588 §4).
func (r *repeats) admit(h *rtp.Header, payload []byte, own bool, target int, now time.Time) bool {
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
	if last.number == number && now.Sub(last.at) < repeatPause {
		return false
	}
	r.debt = max(0, r.debt-now.Sub(r.at))
	r.at = now
	if r.debt > repeatBurst {
		return false
	}
	allowed := max(leastRepeats, int(float64(target)*repeatShare))
	r.debt += time.Duration(len(payload)*8) * time.Second / time.Duration(allowed)
	*last = repeated{number, now}
	return true
}

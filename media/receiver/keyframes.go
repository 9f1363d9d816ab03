package receiver

import (
	"sync"
	"time"
)

// keyFrameInterval is the least time between two requests: a key frame is large, and more requests
// would add to a congestion.
const keyFrameInterval = 500 * time.Millisecond

// keyFrameRequester repeats a request for a key frame until one arrives.
type keyFrameRequester struct {
	send func()

	mu     sync.Mutex // guards all fields below; send is called without it
	wanted bool
	last   time.Time // of a request
	sent   uint64
}

// request asks for a key frame, now or in poll when the interval has passed.
func (k *keyFrameRequester) request(now time.Time) {
	k.mu.Lock()
	k.wanted = true
	k.mu.Unlock()
	k.poll(now)
}

// satisfy ends the request.
func (k *keyFrameRequester) satisfy() {
	k.mu.Lock()
	k.wanted = false
	k.mu.Unlock()
}

// poll sends a request if a key frame is wanted and the interval has passed.
func (k *keyFrameRequester) poll(now time.Time) {
	k.mu.Lock()
	due := k.send != nil && k.wanted && (k.last.IsZero() || now.Sub(k.last) >= keyFrameInterval)
	if due {
		k.last = now
		k.sent++
	}
	k.mu.Unlock()
	if due {
		k.send()
	}
}

func (k *keyFrameRequester) count() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sent
}

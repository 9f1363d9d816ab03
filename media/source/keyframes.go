package source

import (
	"sync"
	"time"
)

// keyFrameInterval keeps requests apart: a key frame is large, and asking more often only makes the path worse.
const keyFrameInterval = 500 * time.Millisecond

// keyFrameRequests asks for a key frame until one comes, but not too often.
type keyFrameRequests struct {
	send func()

	mu     sync.Mutex // guards what follows
	wanted bool
	last   time.Time
	sent   uint64
}

// want asks now, or when poll finds that the time has come.
func (k *keyFrameRequests) want(now time.Time) {
	k.mu.Lock()
	k.wanted = true
	k.mu.Unlock()
	k.poll(now)
}

// satisfied ends the asking.
func (k *keyFrameRequests) satisfied() {
	k.mu.Lock()
	k.wanted = false
	k.mu.Unlock()
}

// poll asks if a key frame is wanted and the last request is long enough ago.
func (k *keyFrameRequests) poll(now time.Time) {
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

func (k *keyFrameRequests) count() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sent
}

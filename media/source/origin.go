package source

import (
	"math/rand/v2"
	"sync"
	"time"
)

// An Origin is the moment from which the test sources of one call count: picture N of one with R pictures a second is
// due N/R seconds after it, and so is what the sound says of itself. Sources that share one belong together also when
// one begins later. Its zero value is set by the first source that runs.
type Origin struct {
	mu   sync.Mutex // guards what follows
	at   time.Time
	sent map[uint32]struct{} // numbers of pictures that were sent, the latest
	last [rememberedPictures]uint32
	next int
}

// rememberedPictures is how many numbers of pictures are known to have been sent: two minutes of 30 a second.
const rememberedPictures = 1 << 12

// NewOrigin returns one that nobody else has: it lies up to eighteen hours back, by chance, so that what comes back can be
// told from what another call sends.
func NewOrigin() *Origin {
	return &Origin{at: time.Now().Add(-time.Duration(rand.N(1<<16)) * time.Second)}
}

// Time is the moment.
func (o *Origin) Time() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at.IsZero() {
		o.at = time.Now()
	}
	return o.at
}

// sends notes that a picture is sent.
func (o *Origin) sends(picture uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sent == nil {
		o.sent = make(map[uint32]struct{}, rememberedPictures)
	}
	if len(o.sent) >= rememberedPictures {
		delete(o.sent, o.last[o.next])
	}
	o.sent[picture] = struct{}{}
	o.last[o.next] = picture
	o.next = (o.next + 1) % len(o.last)
}

// Sent tells if a picture was sent, of late: one that the source left out was not.
func (o *Origin) Sent(picture uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.sent[picture]
	return ok
}

// originOf is the one that is given, or a new one.
func originOf(o *Origin) *Origin {
	if o == nil {
		return &Origin{}
	}
	return o
}

package client

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"parley/signal"
	"parley/signal/internal/wire"
)

// pacer delays messages so that a server with the default limits takes all of them. These grow with
// the number of calls that the client is in. The pacer stays a tenth below the rates and a fifth
// below the bursts, because a network may deliver together what was sent apart. A nil pacer delays
// nothing.
type pacer struct {
	calls    int // of which limiters is set
	limiters [len(paces)]*rate.Limiter
}

// paces are the rates per second and the bursts for one call: of offers, answers and watches, of
// which a server takes 5 per second and 10 at once; of candidates and acknowledgments, 20 and 200;
// of other messages, 10 and 20.
var paces = [...]struct {
	rate  rate.Limit
	burst int
}{{4.5, 8}, {18, 160}, {9, 16}}

func newPacer() *pacer {
	p := &pacer{calls: 1}
	for i, pace := range paces {
		p.limiters[i] = rate.NewLimiter(pace.rate, pace.burst)
	}
	return p
}

// take returns 0 and counts a message of type t if a client in that many calls can write it now.
// Otherwise it returns how long to wait.
func (p *pacer) take(t signal.Type, calls int, now time.Time) time.Duration {
	if p == nil {
		return 0
	}
	if calls = max(calls, 1); calls != p.calls {
		p.calls = calls
		for i, pace := range paces {
			p.limiters[i].SetLimitAt(now, pace.rate*rate.Limit(calls))
			p.limiters[i].SetBurstAt(now, pace.burst*calls)
		}
	}
	limiter := p.limiters[2]
	switch t {
	case signal.Offer, signal.Answer, wire.TypeWatch:
		limiter = p.limiters[0]
	case signal.ICECandidate, wire.TypeAck:
		limiter = p.limiters[1]
	}
	if limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	return max(time.Duration(missing/float64(limiter.Limit())*float64(time.Second)), time.Millisecond)
}

// openCalls are the peers that a server has in a call with the client for certain. In the relay
// dialect messages do not name their sender, so it has none.
type openCalls struct {
	mu    sync.Mutex // guards what follows
	peers map[string]struct{}
}

// maxOpenCalls bounds openCalls.
const maxOpenCalls = 1 << 10

func (o *openCalls) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.peers)
}

// reset forgets all calls, for a new session.
func (o *openCalls) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.peers = nil
}

// noteReceived records a received message.
func (o *openCalls) noteReceived(m signal.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch m.Type {
	case signal.Offer, signal.Answer:
		if m.Peer == "" || len(o.peers) >= maxOpenCalls {
			return
		}
		if o.peers == nil {
			o.peers = make(map[string]struct{})
		}
		o.peers[m.Peer] = struct{}{}
	case signal.Leave, signal.Error:
		delete(o.peers, m.Peer)
	}
}

// noteSent records a message that was sent.
func (o *openCalls) noteSent(m signal.Message) {
	if m.Type != signal.Leave {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.peers, m.Peer)
}

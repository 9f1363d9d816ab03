package client

import (
	"time"

	"golang.org/x/time/rate"

	"parley/signal"
	"parley/signal/internal/wire"
)

// pacer delays messages so that a server with the default limits takes all of them. It stays a tenth below the rates and
// a fifth below the bursts, because a network may deliver together what was sent apart. A nil pacer delays nothing.
type pacer struct {
	descriptions *rate.Limiter // offers and answers; the server takes 5 per second, 10 at once
	candidates   *rate.Limiter // candidates and acknowledgments; 20 per second, 100 at once
	others       *rate.Limiter // 10 per second, 20 at once
}

func newPacer() *pacer {
	return &pacer{rate.NewLimiter(4.5, 8), rate.NewLimiter(18, 80), rate.NewLimiter(9, 16)}
}

// take returns 0 and counts a message of type t if it can be written now. Otherwise it returns how long to wait.
func (p *pacer) take(t signal.Type, now time.Time) time.Duration {
	if p == nil {
		return 0
	}
	limiter := p.others
	switch t {
	case signal.Offer, signal.Answer:
		limiter = p.descriptions
	case signal.ICECandidate, wire.TypeAck:
		limiter = p.candidates
	}
	if limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	return max(time.Duration(missing/float64(limiter.Limit())*float64(time.Second)), time.Millisecond)
}

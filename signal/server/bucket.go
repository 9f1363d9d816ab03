package server

import (
	"math"
	"time"
)

// rate is a Rate in nanoseconds: the time that one token takes to grow, and the time that a full bucket takes.
type rate struct{ token, full int64 }

func (r Rate) resolve(perSecond float64, burst int) rate {
	switch {
	case r.PerSecond < 0:
		return rate{}
	case r.PerSecond > 0:
		perSecond, burst = r.PerSecond, r.Burst
		if burst <= 0 {
			burst = max(int(2*perSecond), 1)
		}
	case r.Burst > 0:
		burst = r.Burst
	}
	token := int64(math.Ceil(float64(time.Second) / perSecond))
	return rate{token: max(token, 1), full: max(token, 1) * int64(burst)}
}

// times returns n times the rate: n times as many tokens a second, and at once.
func (r rate) times(n int) rate {
	if r.token > 0 {
		r.token = max(r.token/int64(n), 1)
	}
	return r
}

// bucket is a token bucket in eight bytes, as there are several on every connection: the time, in nanoseconds since the server began,
// at which it will be full again (the generic cell rate algorithm). The zero bucket is full.
type bucket int64

// take takes one token, or tells that there is none.
func (b *bucket) take(now int64, r rate) bool {
	if r.token == 0 {
		return true
	}
	full := max(int64(*b), now) + r.token
	if full-now > r.full {
		return false
	}
	*b = bucket(full)
	return true
}

// empty tells whether take would fail.
func (b bucket) empty(now int64, r rate) bool { return !b.take(now, r) }

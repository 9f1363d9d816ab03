package server

import (
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/internal/wire"
)

// metrics count what happens at a server. Every label has a fixed set of values, so that no client can make more of them.
type metrics struct {
	accepted atomic.Uint64
	origins  atomic.Uint64
	refusals family // connections not taken in, by why
	logins   family // by result
	auth     family // refused by the Authorizer, by reason
	messages [len(dialects)][len(kinds)]atomic.Uint64
	relays   [len(kinds)][notLoggedIn + 1]atomic.Uint64
	limits   family // by what was exceeded
	ends     family // connections, by why they ended
	closes   family // close frames sent, by code
	rtt      histogram
}

var (
	dialects = [...]signal.Dialect{signal.DialectCall, signal.DialectRelay}
	kinds    = [...]signal.Type{"other", wire.TypeLogin, signal.Offer, signal.Answer, signal.ICECandidate, signal.Leave, wire.TypeAck, wire.TypeICEServers}
)

func kindIndex(t signal.Type) int {
	for i, k := range kinds {
		if k == t {
			return i
		}
	}
	return 0
}

// values are the values of a family's label; the last one counts everything else.
type values [12]string

var (
	refusalValues = values{string(tooManyUpgradesFromAddress), string(tooManyUpgrades), string(tooManyFromAddress), string(tooManyConnections), string(draining),
		"upgrade", "sockets"}
	loginValues = values{"success", "resumed", "renewed", signal.CodeTaken, signal.CodeBadName, signal.CodeUnauthorized, signal.CodeThrottled, signal.CodeUnavailable, signal.CodeExpired, signal.CodeBadMessage, signal.CodeOverloaded}
	authValues  = values{"refused", "unavailable", "throttled", "resume", "expired"}
	limitValues = values{signal.CodeRateLimited, signal.CodeTooManyCalls, signal.CodeTooLong, signal.CodeLoginTimeout, signal.CodeOverloaded, signal.CodeBadMessage}
	endValues   = values{"closed", "lost", "breach", "aborted", "slow"}
	closeValues = values{"1001", "1002", "1003", "1007", "1009", "1012", "4400", "4401", "4408", "4409", "4429", "4503"}
	closeCodes  = [...]int{1001, 1002, 1003, 1007, 1009, 1012, signal.CloseBadSequence, signal.CloseUnauthorized, signal.CloseLoginTimeout, signal.CloseReplaced, signal.CloseRateLimited, signal.CloseOverloaded}
)

// family counts by one label.
type family [len(values{}) + 1]atomic.Uint64

func (f *family) add(of *values, value string) {
	for i, v := range of {
		if v == value {
			f[i].Add(1)
			return
		}
	}
	f[len(of)].Add(1)
}

func (m *metrics) refused(why string)      { m.refusals.add(&refusalValues, why) }
func (m *metrics) login(result string)     { m.logins.add(&loginValues, result) }
func (m *metrics) authFailure(why string)  { m.auth.add(&authValues, why) }
func (m *metrics) limited(code string)     { m.limits.add(&limitValues, code) }
func (m *metrics) disconnected(why string) { m.ends.add(&endValues, why) }

func (m *metrics) closed(code int) {
	for i, c := range closeCodes {
		if c == code {
			m.closes[i].Add(1)
			return
		}
	}
	if code != websocket.CloseNormalClosure && code != websocket.CloseNoStatusReceived {
		m.closes[len(closeCodes)].Add(1)
	}
}

func (m *metrics) received(d signal.Dialect, t signal.Type) {
	i := 0
	if d == signal.DialectRelay {
		i = 1
	}
	m.messages[i][kindIndex(t)].Add(1)
}

func (m *metrics) relayed(t signal.Type, v deliveryResult) { m.relays[kindIndex(t)][v].Add(1) }

// rttBounds are the upper bounds of the histogram of round trips.
var rttBounds = [...]time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 10 * time.Second}

type histogram struct {
	buckets [len(rttBounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(rttBounds) && d > rttBounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

package server

import (
	"container/heap"
	"log/slog"
	"sync"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
)

const (
	// expiryWarning is how long before the end of its session a client is warned; of a session that
	// lasts less than twice as long, after half of it.
	expiryWarning = time.Minute
	// maxExpiry is the longest time that a session is given; what lasts longer counts as this.
	maxExpiry = 10 * 365 * 24 * time.Hour

	textExpired = "the token has expired; sign in with a new one"
)

// expiry is when a session ends because its identity expires, in nanoseconds since the server
// began.
type expiry struct {
	session *session
	at      int64
	due     int64 // when to look at it next: for the warning, then at its end
	warns   bool  // the client understands the warning
	index   int   // in the heap
}

// expiries holds the sessions whose identity expires, the next one first.
type expiries struct {
	mu   sync.Mutex // guards what follows, and expiry and expired of every session
	heap expiryHeap
}

// set sets the end of a session; 0 is never. It reports false for a session that has expired
// already.
func (e *expiries) set(s *session, now, at int64, warns bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.expired {
		return false
	}
	e.removeLocked(s)
	if at == 0 {
		return true
	}
	s.expiry = &expiry{session: s, at: at, due: at - min(int64(expiryWarning), (at-now)/2), warns: warns}
	heap.Push(&e.heap, s.expiry)
	return true
}

func (e *expiries) remove(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removeLocked(s)
}

func (e *expiries) removeLocked(s *session) {
	if s.expiry != nil {
		heap.Remove(&e.heap, s.expiry.index)
		s.expiry = nil
	}
}

// left returns how long a session lasts; 0 is without end. It reports false for one that has
// expired.
func (e *expiries) left(s *session, now int64) (left time.Duration, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.expiry == nil {
		return 0, !s.expired
	}
	return time.Duration(s.expiry.at - now), s.expiry.at > now
}

// take returns the next session that is to be warned or has expired, nil if there is none.
func (e *expiries) take(now int64) (s *session, left time.Duration, warns bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heap) == 0 || e.heap[0].due > now {
		return nil, 0, false
	}
	x := e.heap[0]
	s, left, warns = x.session, time.Duration(x.at-now), x.warns
	if left <= 0 {
		e.removeLocked(s)
		s.expired = true
		return s, 0, warns
	}
	x.due = x.at
	heap.Fix(&e.heap, 0)
	return s, left, warns
}

// expireSessions warns and ends the sessions that are due.
func (s *Server) expireSessions(w *wsconn.Batch) {
	for {
		sess, left, warns := s.expiries.take(s.now())
		switch {
		case sess == nil:
			return
		case left <= 0:
			s.expireSession(w, sess)
		case warns:
			sess.send(w, wire.AppendExpiring(nil, left))
		}
	}
}

// expireSession ends a session as if its connection was lost: a peer in a call with it may go on
// without the server.
func (s *Server) expireSession(w *wsconn.Batch, sess *session) {
	name := sess.heldName()
	if name == "" {
		return
	}
	sess.end(w, s.leaveReason(cluster.Disconnected))
	if sess.resumable != nil {
		sess.resumable.abandon()
	}
	c := sess.connection()
	if c != nil {
		c.close(w, signal.CloseUnauthorized, textExpired)
	}
	s.metrics.authFailure("expired")
	s.log.Debug("session expired", s.user(name), slog.String("dialect", string(sess.hub.dialect)))
}

// untilExpiry returns the time until an identity expires; 0 if it does not.
func untilExpiry(i signal.Identity) time.Duration {
	if i.Expires.IsZero() {
		return 0
	}
	return min(max(time.Until(i.Expires), 1), maxExpiry)
}

// expiryHeap implements heap.Interface.
type expiryHeap []*expiry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].due < h[j].due }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *expiryHeap) Push(x any) {
	e := x.(*expiry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *expiryHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}

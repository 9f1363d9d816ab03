package server

import (
	"math/rand/v2"
	"sync"
	"time"

	"parley/signal"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
)

// wheel holds every connection of a server and pings them all from one goroutine. It advances one
// slot per tick; a connection is in the slot of the tick at which it is checked next. A connection
// is checked twice per interval: to be pinged, and whether it has answered. So a dead socket is
// found within 1.2 intervals plus the pong timeout, 40 seconds by default.
type wheel struct {
	tick             time.Duration
	interval         int // ticks between pings, jittered by a fifth
	pongTimeoutTicks int // ticks that a ping may go unanswered

	heard func(*conn) bool // since the last ping

	mu      sync.Mutex // guards what follows, and slot and awaiting of every conn
	slots   []map[*conn]struct{}
	current int
}

// wheelTicks is the resolution: ticks per ping interval.
const wheelTicks = 25

func newWheel(interval, pongTimeout time.Duration) *wheel {
	tick := max(interval/wheelTicks, time.Millisecond)
	w := &wheel{tick: tick, interval: wheelTicks, pongTimeoutTicks: max(int((pongTimeout+tick-1)/tick), 1), heard: (*conn).Heard}
	w.slots = make([]map[*conn]struct{}, max(w.interval*6/5, w.pongTimeoutTicks)+2)
	for i := range w.slots {
		w.slots[i] = make(map[*conn]struct{})
	}
	return w
}

func (w *wheel) add(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(c, w.untilPing())
}

func (w *wheel) remove(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.slot >= 0 {
		delete(w.slots[c.slot], c)
	}
	c.slot = -1
}

// each calls do for every connection, outside the lock.
func (w *wheel) each(do func(*conn)) {
	w.mu.Lock()
	var all []*conn
	for _, slot := range w.slots {
		for c := range slot {
			all = append(all, c)
		}
	}
	w.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}

// advance advances by one slot, and returns the connections to ping, and those that have sent
// nothing since the last ping.
func (w *wheel) advance() (ping, dead []*conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = (w.current + 1) % len(w.slots)
	for c := range w.slots[w.current] {
		delete(w.slots[w.current], c)
		switch {
		case !c.awaiting:
			c.awaiting = true
			w.putLocked(c, w.pongTimeoutTicks)
			ping = append(ping, c)
		case w.heard(c):
			c.awaiting = false
			w.putLocked(c, max(w.untilPing()-w.pongTimeoutTicks, 1))
		default:
			c.awaiting = false
			w.putLocked(c, w.untilPing()) // stays until its reader has ended
			dead = append(dead, c)
		}
	}
	return ping, dead
}

// pingNow makes c one that has just been pinged.
func (w *wheel) pingNow(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.slot < 0 { // it has ended
		return
	}
	delete(w.slots[c.slot], c)
	c.awaiting = true
	w.putLocked(c, w.pongTimeoutTicks)
}

func (w *wheel) putLocked(c *conn, ticks int) {
	c.slot = int32((w.current + ticks) % len(w.slots))
	w.slots[c.slot][c] = struct{}{}
}

// untilPing is the interval in ticks, up to a fifth more or less, so that clients that came
// together do not stay together.
func (w *wheel) untilPing() int {
	spread := w.interval / 5
	return w.interval - spread + rand.IntN(2*spread+1)
}

// pendingConns holds the connections that have not logged in, in the order in which they came.
type pendingConns struct {
	mu             sync.Mutex // guards what follows, and pending, since, older and newer of every conn
	oldest, newest *conn
	count          int
}

// add adds a connection. If there are more than max it returns the oldest, which has to make room.
func (p *pendingConns) add(c *conn, now int64, max int) (out *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count >= max {
		out = p.oldest
		p.removeLocked(out)
	}
	c.pending, c.since, c.older = true, now, p.newest
	if p.newest != nil {
		p.newest.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	p.count++
	return out
}

// overdue removes and returns those that have waited for longer than wait.
func (p *pendingConns) overdue(now int64, wait time.Duration) (out []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.oldest != nil && now-p.oldest.since >= int64(wait) {
		out = append(out, p.oldest)
		p.removeLocked(p.oldest)
	}
	return out
}

func (p *pendingConns) removeLocked(c *conn) {
	if c == nil || !c.pending {
		return
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.newest = c.older
	}
	c.pending, c.older, c.newer = false, nil, nil
	p.count--
}

// remove removes a connection, which may have been removed already.
func (p *pendingConns) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(c)
}

// size returns the number of connections.
func (p *pendingConns) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// keepaliveLoop pings connections, drops dead ones, and enforces the ends of logins and sessions,
// until Close.
func (s *Server) keepaliveLoop() {
	ticker := time.NewTicker(s.wheel.tick)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		w := s.newBatch()
		ping, dead := s.wheel.advance()
		for _, c := range dead {
			c.Abort()
		}
		for _, c := range ping {
			c.Ping(w)
		}
		s.overdue(w)
		s.expireSessions(w)
		w.Release()
	}
}

// evict closes connections that have waited too long to log in, or too many.
func (s *Server) evict(w *wsconn.Batch, conns []*conn, b *closeError) {
	for _, c := range conns {
		c.Send(w, wire.AppendError(nil, b.code, b.text, ""))
		c.close(w, b.close, b.text)
		s.metrics.limited(b.code)
	}
}

// overdue closes the connections that have not logged in for too long.
func (s *Server) overdue(w *wsconn.Batch) {
	s.evict(w, s.pending.overdue(s.now(), s.limits.LoginWait), &closeError{signal.CloseLoginTimeout, signal.CodeLoginTimeout, "no login came within " + s.limits.LoginWait.String()})
}

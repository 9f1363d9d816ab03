package signal

import (
	"net/netip"
	"sync"

	"parley/signal/internal/wsconn"
)

// gate counts who is in, and decides who comes in.
type gate struct {
	limits *limits

	mu        sync.Mutex // guards what follows, and pending, since, older and newer of every conn
	upgrades  bucket
	total     int
	addresses map[netip.Addr]int
	failures  map[netip.Addr]bucket

	// The connections that have not logged in, in the order in which they came.
	oldest, newest *conn
	pending        int
}

// maxFailures bounds the addresses whose failed logins are remembered.
const maxFailures = 1 << 14

func newGate(l *limits) *gate {
	return &gate{limits: l, addresses: make(map[netip.Addr]int), failures: make(map[netip.Addr]bucket)}
}

// refusal is why the gate lets somebody not in, "" if it does.
type refusal string

const (
	tooManyUpgrades  refusal = "upgrade_rate"
	tooManyThere     refusal = "address"
	tooManyInAll     refusal = "connections"
	noLongerAdmitted refusal = "draining"
)

// enter takes a place for a connection from a.
func (g *gate) enter(a netip.Addr, now int64) refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := neighbourhood(a)
	switch {
	case g.total >= g.limits.Connections:
		return tooManyInAll
	case g.addresses[key] >= g.limits.PerAddress:
		return tooManyThere
	case !g.upgrades.take(now, g.limits.upgrades):
		return tooManyUpgrades
	}
	g.total++
	g.addresses[key]++
	return ""
}

// giveBack returns the place of a connection from a.
func (g *gate) giveBack(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.giveBackLocked(a)
}

func (g *gate) giveBackLocked(a netip.Addr) {
	g.total--
	key := neighbourhood(a)
	if g.addresses[key]--; g.addresses[key] <= 0 {
		delete(g.addresses, key)
	}
}

// await puts a connection among those that have not logged in. If they are too many it returns the one that has to make room.
func (g *gate) await(c *conn, now int64) (out *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pending >= g.limits.Pending {
		out = g.oldest
		g.removeLocked(out)
	}
	c.pending, c.since, c.older = true, now, g.newest
	if g.newest != nil {
		g.newest.newer = c
	} else {
		g.oldest = c
	}
	g.newest = c
	g.pending++
	return out
}

// overdue takes out those that have not logged in for too long.
func (g *gate) overdue(now int64) (out []*conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.oldest != nil && now-g.oldest.since >= int64(g.limits.LoginWait) {
		out = append(out, g.oldest)
		g.removeLocked(g.oldest)
	}
	return out
}

func (g *gate) removeLocked(c *conn) {
	if c == nil || !c.pending {
		return
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		g.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		g.newest = c.older
	}
	c.pending, c.older, c.newer = false, nil, nil
	g.pending--
}

// loggedIn takes c from those that have not.
func (g *gate) loggedIn(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removeLocked(c)
}

// leave returns the place of a connection.
func (g *gate) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removeLocked(c)
	g.giveBackLocked(c.address)
}

func (g *gate) counts() (total, pending int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total, g.pending
}

// failed notes a refused login.
func (g *gate) failed(a netip.Addr, now int64, r rate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := neighbourhood(a)
	b, known := g.failures[key]
	if !known && len(g.failures) >= maxFailures {
		g.forgiveLocked(now)
	}
	b.take(now, r)
	g.failures[key] = b
}

// forgiveLocked makes room: it looks at a few by chance, for those whose failures are long ago, and otherwise takes any.
func (g *gate) forgiveLocked(now int64) {
	looked, before := 0, len(g.failures)
	for a, b := range g.failures {
		if looked++; int64(b) <= now || looked > 64 && len(g.failures) == before {
			delete(g.failures, a)
		}
		if looked > 64 {
			return
		}
	}
}

// throttled reports whether too many logins from a were refused.
func (g *gate) throttled(a netip.Addr, now int64, r rate) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failures[neighbourhood(a)].empty(now, r)
}

// retryAfter is when a client that was refused may try again, in seconds.
func (r refusal) retryAfter() string {
	if r == tooManyUpgrades {
		return "1"
	}
	return "10"
}

// evict closes connections that have waited too long to log in, or too many.
func (s *Server) evict(w *wsconn.Batch, conns []*conn, b *closeError) {
	for _, c := range conns {
		c.Send(w, appendError(nil, b.code, b.text, ""))
		c.close(w, b.close, b.text)
		s.metrics.limited(b.code)
	}
}

// overdue closes the connections that have not logged in for too long.
func (s *Server) overdue(w *wsconn.Batch) {
	s.evict(w, s.gate.overdue(s.now()), &closeError{CloseLoginTimeout, CodeLoginTimeout, "no login came within " + s.limits.LoginWait.String()})
}

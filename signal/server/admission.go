package server

import (
	"net"
	"net/http"
	"net/netip"
	"sync"

	"parley/signal"
	"parley/signal/internal/ratelimit"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
)

// connLimiter counts connections, in all and per client prefix.
type connLimiter struct {
	max, perAddress int
	exempt          func(netip.Addr) bool // from perAddress; may be nil

	mu       sync.Mutex // guards what follows
	total    int
	prefixes map[netip.Addr]int
}

func newConnLimiter(max, perAddress int) *connLimiter {
	return &connLimiter{max: max, perAddress: perAddress, prefixes: make(map[netip.Addr]int)}
}

// add counts a connection from a and returns why it is one too many, "" if it is not. It is counted
// in either case.
func (l *connLimiter) add(a netip.Addr) refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	prefix := ratelimit.ClientPrefix(a)
	l.total++
	l.prefixes[prefix]++
	switch {
	case l.prefixes[prefix] > l.perAddress && (l.exempt == nil || !l.exempt(a)):
		return tooManyFromAddress
	case l.total > l.max:
		return tooManyConnections
	}
	return ""
}

// remove takes back what add has counted.
func (l *connLimiter) remove(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	prefix := ratelimit.ClientPrefix(a)
	l.total--
	if l.prefixes[prefix]--; l.prefixes[prefix] <= 0 {
		delete(l.prefixes, prefix)
	}
}

func (l *connLimiter) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// connState returns an http.Server's ConnState that bounds the connections that net/http has in
// hand: those that are not WebSockets yet, or never will be. One too many is closed without an
// answer, as it may not even be HTTP, and refused is called.
func (l *connLimiter) connState(refused func()) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		address := parseRemote(conn.RemoteAddr().String())
		switch state {
		case http.StateNew:
			if l.add(address) != "" {
				refused()
				_ = conn.Close() // net/http reports StateClosed for it
			}
		case http.StateClosed, http.StateHijacked:
			l.remove(address)
		}
	}
}

// admission decides which connections are taken in, and which have to go because they do not log
// in.
type admission struct {
	limits   *limits
	conns    *connLimiter // WebSockets
	sessions *connLimiter // sessions, also those whose client is away

	mu           sync.Mutex // guards what follows, and pending, since, older and newer of every conn
	upgrades     ratelimit.Bucket
	upgradesFrom ratelimit.AddressBuckets
	failures     ratelimit.AddressBuckets // refused logins

	// The connections that have not logged in, in the order in which they came.
	oldest, newest *conn
	pending        int
}

func newAdmission(l *limits) *admission {
	return &admission{
		limits: l, conns: newConnLimiter(l.Connections, l.PerAddress), sessions: newConnLimiter(l.Connections, l.PerAddress),
		upgradesFrom: ratelimit.NewAddressBuckets(l.upgradesFrom), failures: ratelimit.NewAddressBuckets(l.failures),
	}
}

// refusal is why a connection is not taken in, "" if it is.
type refusal string

const (
	tooManyUpgradesFromAddress refusal = "address_rate"
	tooManyUpgrades            refusal = "upgrade_rate"
	tooManyFromAddress         refusal = "address"
	tooManyConnections         refusal = "connections"
	draining                   refusal = "draining"
)

// retryAfter returns when a client that was refused may try again, in seconds.
func (r refusal) retryAfter() string {
	if r == tooManyUpgrades || r == tooManyUpgradesFromAddress {
		return "1"
	}
	return "10"
}

// enter counts a connection from a. The limits of the address come first, so that what is one too
// many there takes nothing from others.
func (g *admission) enter(a netip.Addr, now int64) refusal {
	why := g.conns.add(a)
	if why == "" {
		why = g.takeUpgrade(a, now)
	}
	if why != "" {
		g.conns.remove(a)
	}
	return why
}

func (g *admission) takeUpgrade(a netip.Addr, now int64) refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.upgradesFrom.Take(a, now):
		return tooManyUpgradesFromAddress
	case !g.upgrades.Take(now, g.limits.upgrades):
		return tooManyUpgrades
	}
	return ""
}

// await puts a connection among those that have not logged in. If there are too many it returns the
// oldest, which has to make room.
func (g *admission) await(c *conn, now int64) (out *conn) {
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

// overdue removes and returns those that have not logged in for too long.
func (g *admission) overdue(now int64) (out []*conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.oldest != nil && now-g.oldest.since >= int64(g.limits.LoginWait) {
		out = append(out, g.oldest)
		g.removeLocked(g.oldest)
	}
	return out
}

func (g *admission) removeLocked(c *conn) {
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

// loggedIn removes c from those that have not logged in.
func (g *admission) loggedIn(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removeLocked(c)
}

// leave takes back what enter has counted for a connection.
func (g *admission) leave(c *conn) {
	g.loggedIn(c)
	g.conns.remove(c.address)
}

func (g *admission) counts() (total, pending int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns.count(), g.pending
}

// loginFailed counts a refused login.
func (g *admission) loginFailed(a netip.Addr, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures.Take(a, now)
}

// throttled reports whether too many logins from a were refused.
func (g *admission) throttled(a netip.Addr, now int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failures.Empty(a, now)
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
	s.evict(w, s.admission.overdue(s.now()), &closeError{signal.CloseLoginTimeout, signal.CodeLoginTimeout, "no login came within " + s.limits.LoginWait.String()})
}

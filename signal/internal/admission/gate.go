// Package admission decides which connections a server accepts.
package admission

import (
	"io"
	"net/http"
	"net/netip"
	"sync"

	"parley/signal/internal/ratelimit"
)

// Refusal is why a connection is not accepted, "" if it is. Refusal is a label of the server's
// metrics.
type Refusal string

// The refusals.
const (
	TooManyUpgradesFromAddress Refusal = "address_rate"
	TooManyUpgrades            Refusal = "upgrade_rate"
	TooManyFromAddress         Refusal = "address"
	TooManyConnections         Refusal = "connections"
	Draining                   Refusal = "draining"
)

// Respond answers the request of a connection that is not accepted.
func (r Refusal) Respond(w http.ResponseWriter) {
	status, retryAfter, text := http.StatusServiceUnavailable, "10", "the signaling server has no room for another connection; try again later"
	switch r {
	case TooManyFromAddress:
		status, text = http.StatusTooManyRequests, "there are too many connections from your address; close some"
	case TooManyUpgradesFromAddress:
		status, retryAfter, text = http.StatusTooManyRequests, "1", "too many connect at once from your address; try again in a moment"
	case TooManyUpgrades:
		status, retryAfter, text = http.StatusTooManyRequests, "1", "too many connect at once; try again in a moment"
	case Draining:
		text = "the signaling server is shutting down; try again in a moment"
	}
	w.Header().Set("Retry-After", retryAfter)
	Respond(w, status, text)
}

// Respond answers a request with a line of text.
func Respond(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

// Counter counts connections, or sessions, in all and per client prefix. Counter is safe for
// concurrent use.
type Counter struct {
	max, perAddress int
	exempt          func(netip.Addr) bool // from perAddress; nil for none

	mu       sync.Mutex // guards what follows
	total    int
	prefixes map[netip.Addr]int
}

// NewCounter returns a counter that bounds the number in all and per client prefix.
func NewCounter(max, perAddress int) *Counter {
	return &Counter{max: max, perAddress: perAddress, prefixes: make(map[netip.Addr]int)}
}

// Add counts a connection from a and returns why it is one too many, "" if it is not. A connection
// is counted in either case.
func (c *Counter) Add(a netip.Addr) Refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix := ratelimit.ClientPrefix(a)
	c.total++
	c.prefixes[prefix]++
	switch {
	case c.prefixes[prefix] > c.perAddress && (c.exempt == nil || !c.exempt(a)):
		return TooManyFromAddress
	case c.total > c.max:
		return TooManyConnections
	}
	return ""
}

// Remove takes back what Add has counted.
func (c *Counter) Remove(a netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix := ratelimit.ClientPrefix(a)
	c.total--
	if c.prefixes[prefix]--; c.prefixes[prefix] <= 0 {
		delete(c.prefixes, prefix)
	}
}

// Count returns the number in all.
func (c *Counter) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Limits are the limits of a Gate.
type Limits struct {
	Connections, PerAddress int
	Upgrades                ratelimit.Rate
	UpgradesPerAddress      ratelimit.Rate
	LoginFailures           ratelimit.Rate // per address
}

// Gate counts the WebSockets of a server, and refuses those over its limits. Gate is safe for
// concurrent use.
type Gate struct {
	limits Limits
	conns  *Counter

	mu           sync.Mutex // guards what follows
	upgrades     ratelimit.Bucket
	upgradesFrom ratelimit.AddressBuckets
	failures     ratelimit.AddressBuckets
}

// NewGate returns a gate without connections.
func NewGate(l Limits) *Gate {
	return &Gate{
		limits: l, conns: NewCounter(l.Connections, l.PerAddress),
		upgradesFrom: ratelimit.NewAddressBuckets(l.UpgradesPerAddress), failures: ratelimit.NewAddressBuckets(l.LoginFailures),
	}
}

// Enter counts a connection from a. The limits of the address come first, so that what is one too
// many there takes nothing from others.
func (g *Gate) Enter(a netip.Addr, now int64) Refusal {
	why := g.conns.Add(a)
	if why == "" {
		why = g.takeUpgrade(a, now)
	}
	if why != "" {
		g.conns.Remove(a)
	}
	return why
}

func (g *Gate) takeUpgrade(a netip.Addr, now int64) Refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.upgradesFrom.Take(a, now):
		return TooManyUpgradesFromAddress
	case !g.upgrades.Take(now, g.limits.Upgrades):
		return TooManyUpgrades
	}
	return ""
}

// Leave takes back what Enter has counted for a connection.
func (g *Gate) Leave(a netip.Addr) { g.conns.Remove(a) }

// Count returns the number of connections.
func (g *Gate) Count() int { return g.conns.Count() }

// LoginFailed counts a refused login.
func (g *Gate) LoginFailed(a netip.Addr, now int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures.Take(a, now)
}

// Throttled reports whether too many logins from a were refused.
func (g *Gate) Throttled(a netip.Addr, now int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failures.Empty(a, now)
}

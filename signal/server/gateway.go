package server

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/admission"
	"parley/signal/internal/ratelimit"
)

// ErrThrottled reports that too many logins from an address were refused.
var ErrThrottled = errors.New("too many logins from your address were refused; try again later")

// ErrUndecided reports that the Authorizer could not decide about a login.
var ErrUndecided = errors.New("whether this login is good cannot be found out now; try again later")

// HandlePrefix sends the requests for a path that begins with prefix to h, and not to
// Options.Pages. Call it before the first request. Upgrades to WebSocket stay signaling on any
// path.
func (s *Server) HandlePrefix(prefix string, h http.Handler) {
	s.handlers = append(s.handlers, prefixHandler{prefix, h})
}

// prefixHandler serves the paths that begin with prefix.
type prefixHandler struct {
	prefix  string
	handler http.Handler
}

// pages returns the handler of a request that is no upgrade.
func (s *Server) pages(r *http.Request) http.Handler {
	i := slices.IndexFunc(s.handlers, func(p prefixHandler) bool { return strings.HasPrefix(r.URL.Path, p.prefix) })
	if i < 0 {
		return s.opts.Pages
	}
	return s.handlers[i].handler
}

// Node returns the node of the cluster that this server is. A gateway attaches its own sessions to
// it.
func (s *Server) Node() cluster.Node { return s.node }

// ClientAddr returns the address that a request comes from, as reported by trusted proxies.
func (s *Server) ClientAddr(r *http.Request) netip.Addr { return s.policy.ClientAddr(r) }

// OriginAllowed reports whether the page that a request comes from may connect. Programs, which
// send no Origin, may.
func (s *Server) OriginAllowed(r *http.Request) bool { return s.policy.OriginAllowed(r) }

// RequiresToken reports whether an Authorizer decides about logins.
func (s *Server) RequiresToken() bool { return s.opts.Auth != nil }

// Authorize decides about a login that did not come by a WebSocket. Its error is a *signal.Denied,
// ErrThrottled or ErrUndecided.
func (s *Server) Authorize(ctx context.Context, r signal.LoginRequest) (signal.Identity, error) {
	if s.opts.Auth == nil {
		return signal.Identity{Name: r.Name}, nil
	}
	if s.throttled(r.Address) {
		return signal.Identity{}, ErrThrottled
	}
	identity, err := s.authorize(ctx, r)
	var denied *signal.Denied
	switch {
	case errors.As(err, &denied):
		return identity, &signal.Denied{Reason: signal.Printable(denied.Reason)}
	case err != nil:
		return identity, ErrUndecided
	}
	return identity, nil
}

// ICEServers returns the ICE servers for the client of an identity. Their credentials last no
// longer than the identity.
func (s *Server) ICEServers(identity signal.Identity) []signal.ICEServer {
	left := s.opts.ICEServersFor
	if !identity.Expires.IsZero() {
		left = min(left, max(time.Until(identity.Expires), 0))
	}
	if s.opts.ICEServers == nil {
		return identity.ICEServers
	}
	return append(slices.Clip(identity.ICEServers), s.opts.ICEServers(identity.Name, left)...)
}

// GatewayLimits are the limits of a server that hold for the clients of a gateway, too.
type GatewayLimits struct {
	Gate                       admission.Limits
	SDP, Candidate             int // bytes
	Calls                      int // that a user may be in
	Offers, Candidates, Others ratelimit.Rate
}

// GatewayLimits returns the limits of this server.
func (s *Server) GatewayLimits() GatewayLimits {
	l := &s.limits
	return GatewayLimits{l.gate(), l.SDP, l.Candidate, l.Calls, l.offers, l.candidates, l.others}
}

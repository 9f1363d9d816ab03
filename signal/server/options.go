package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/admission"
)

// Authorizer decides who may sign in with which name.
type Authorizer interface {
	// Authorize decides about one login. The reason of a *Denied is sent to the client. Any other
	// error means that no decision can be made now: it is logged, and the login is refused.
	// Authorize may be called concurrently; only the client that logs in waits for it.
	Authorize(ctx context.Context, r signal.LoginRequest) (signal.Identity, error)
}

// Options configure a Server. The zero value works.
type Options struct {
	// Pages answers every request that is no WebSocket. Default: 404 to all.
	Pages http.Handler

	// Greeting sends the plain text "Hello world" first to every client, as the original call
	// server does. Default: false, because it breaks clients that expect JSON.
	Greeting bool

	// IsOwnName reports whether the server is known by a host name, in lower case: pages from it
	// may connect, as do those from the addresses that the server is reached at. IsOwnName is
	// called concurrently. Default: nil, no name.
	IsOwnName func(host string) bool

	// AllowOrigins lists the origins whose pages may connect, beside pages from this server's own
	// host and from loopback hosts: "https://example.com", "https://*.example.com", "null", or "*"
	// for every page, which lets any site that a user visits reach this server from within
	// the user's network. Default: none.
	AllowOrigins []string

	// TrustedProxies are the addresses of proxies, whose ClientIPHeader is believed. Default: none.
	TrustedProxies []netip.Prefix

	// ClientIPHeader is the one header in which TrustedProxies name the client: X-Forwarded-For or
	// Forwarded (RFC 7239), where the last address that is no proxy's counts, or one that holds a
	// single address, such as X-Real-IP. It has to be one that the proxies set or append to: what
	// they pass on of others is the client's word. Default: none; the proxy's address counts.
	ClientIPHeader string

	// Limits bound what clients may send. Default: see Limits.
	Limits Limits

	// MaxQueue is the number of bytes that may wait to be written to one client, or wait until it
	// comes back. Messages of its peers that would fill more than seven eighths of it are refused
	// with the error queue_full. A client whose own requests fill the rest is cut off. 12 KiB are
	// added for every call after the first. Default: 256 KiB. Every slow connection may hold that
	// much in memory. A message longer than three quarters of it cannot be delivered, so raise it
	// with Limits.Frame.
	MaxQueue int

	// Auth decides who may sign in. Default: nil, every client gets any free name.
	Auth Authorizer

	// ICEServers are handed to a client that asks for them, in the reply to its successful login:
	// STUN servers, and TURN servers with credentials made for it; and again whenever it asks for
	// fresh ones. Life is ICEServersFor, or less if the client's session ends before: no
	// credentials should last longer. ICEServers is called concurrently; the client waits for it.
	// Default: none.
	ICEServers func(name string, life time.Duration) []signal.ICEServer

	// ICEServersFor is how long the credentials of ICEServers can begin a call. Clients that know
	// it ask for others after half of that. Default: 0, they do not expire. Below a few seconds a
	// client cannot keep up.
	ICEServersFor time.Duration

	// Resume is how long a client that asked for it may take to come back after its connection
	// broke. Until then its name and its calls stay its own. Default: 20 seconds; negative: not at
	// all.
	Resume time.Duration

	// Cluster is this server's node of a cluster, which it does not share with another server.
	// Default: a node without others.
	Cluster cluster.Node

	// NodeName is sent to each client in the header signal.NodeHeader, so that an operator can see
	// which of several servers it has reached. Default: none.
	NodeName string

	// PingInterval is the time between pings, jittered by a fifth. Default: 25 seconds; below a
	// millisecond per 1/25 it is rounded up.
	PingInterval time.Duration

	// PongTimeout is how long a ping may go unanswered before the connection counts as dead.
	// Default: 10 seconds.
	PongTimeout time.Duration

	// Logger receives logins and refusals, never message bodies, tokens or names. Default: none.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Pages == nil {
		o.Pages = http.NotFoundHandler()
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = 256 << 10
	}
	if o.Resume == 0 {
		o.Resume = 20 * time.Second
	}
	if o.PingInterval <= 0 {
		o.PingInterval = 25 * time.Second
	}
	if o.PongTimeout <= 0 {
		o.PongTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// CheckOriginPattern returns an error if pattern is not valid in Options.AllowOrigins.
func CheckOriginPattern(pattern string) error { return admission.CheckOriginPattern(pattern) }

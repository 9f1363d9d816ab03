// Package server serves WHIP and WHEP: it calls a user of the signaling server for each HTTP
// client.
//
// The client publishes to the user by a POST of an offer to /whip/NAME, and plays from the user by
// one to /whep/NAME. The Gateway translates: an offer, its answer with all candidates, trickled
// candidates, an ICE restart and a leave. It carries no media: client and user connect to each
// other. A session ends with the call, which ends when one of the two does not answer connectivity
// checks any more (RFC 7675).
package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/admission"
	"parley/signal/internal/ratelimit"
	signaling "parley/signal/server"
	"parley/signal/whip"
)

// Options configure a Gateway. The zero value serves nothing.
type Options struct {
	// Publish serves /whip/NAME, and Play serves /whep/NAME.
	Publish, Play bool
	// AnswerTimeout is how long a user may take to answer, who may be a person. Default: 30
	// seconds.
	AnswerTimeout time.Duration
	// RestartTimeout is how long a user may take to answer an ICE restart. Default: 10 seconds.
	RestartTimeout time.Duration
	// GatherTimeout is how long the candidates of the user are waited for after the answer.
	// Default: 4 seconds, since OBS waits for 8 in all.
	GatherTimeout time.Duration
	// QuietTime is how long after a candidate the next one is waited for, where the user does not
	// send the end of candidates. Default: 1 second.
	QuietTime time.Duration
	// Sessions is how many there may be in all. Default: 4096. The sessions of an address have the
	// limit of its connections to the signaling server.
	Sessions int
	// Logger receives what is refused, without names and tokens. Default: none.
	Logger *slog.Logger
}

// Gateway serves WHIP and WHEP for the users of a signaling server. Gateway is an http.Handler of
// the paths that begin with Prefixes.
type Gateway struct {
	options   Options
	signaling *signaling.Server
	node      cluster.Node
	requester cluster.Requester // node, nil if it passes no requests on
	limits    signaling.GatewayLimits
	gate      *admission.Gate // counts the sessions
	metrics   *metrics
	log       *slog.Logger
	began     time.Time
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc

	mu       sync.Mutex // guards what follows
	closed   bool
	sessions map[string]*session // by key
}

// New returns a gateway to the users of a server. Its owner closes it before the server's node.
func New(server *signaling.Server, options Options) *Gateway {
	g := &Gateway{
		options: options.withDefaults(), signaling: server, node: server.Node(), limits: server.GatewayLimits(),
		began: time.Now().Add(-time.Hour), sessions: make(map[string]*session),
	}
	g.log = g.options.Logger
	limits := g.limits.Gate
	limits.Connections = min(limits.Connections, g.options.Sessions)
	g.gate = admission.NewGate(limits)
	g.limits.SDP = min(g.limits.SDP, whip.MaxSDP)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.metrics = newMetrics(g)
	if g.requester, _ = g.node.(cluster.Requester); g.requester != nil {
		if err := g.requester.HandleRequests(g.handleForwarded); err != nil {
			g.log.Warn("requests of WHIP and WHEP clients must come to the server of their session", slog.Any("error", err))
		}
	}
	return g
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.AnswerTimeout, 30 * time.Second}, {&o.RestartTimeout, 10 * time.Second},
		{&o.GatherTimeout, 4 * time.Second}, {&o.QuietTime, time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Sessions <= 0 {
		o.Sessions = 1 << 12
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Prefixes returns what the paths of the gateway begin with.
func (g *Gateway) Prefixes() (prefixes []string) {
	if g.options.Publish {
		prefixes = append(prefixes, "/whip/")
	}
	if g.options.Play {
		prefixes = append(prefixes, "/whep/")
	}
	return prefixes
}

// Close ends all sessions and the requests that wait. The users get no leave: media goes on without
// the gateway.
func (g *Gateway) Close() {
	g.cancel()
	g.mu.Lock()
	g.closed = true
	sessions := make([]*session, 0, len(g.sessions))
	for _, s := range g.sessions {
		sessions = append(sessions, s)
	}
	g.mu.Unlock()
	for _, s := range sessions {
		s.end(errClosing)
	}
}

// add adds a session. An address has half of the calls that a user may be in: the other half is for
// other clients.
func (g *Gateway) add(s *session) *refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosing
	}
	n := 0
	for _, other := range g.sessions {
		if other.user == s.user && ratelimit.ClientPrefix(other.address) == ratelimit.ClientPrefix(s.address) {
			n++
		}
	}
	if n >= max(1, g.limits.Calls/2) {
		return errCrowded
	}
	g.sessions[s.key] = s
	return nil
}

// remove removes a session, if it was added.
func (g *Gateway) remove(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[s.key] == s {
		delete(g.sessions, s.key)
		g.gate.Leave(s.address)
	}
}

// find returns the session of a key, nil for none and for one that has ended.
func (g *Gateway) find(protocol whip.Direction, user, key string) *session {
	g.mu.Lock()
	s := g.sessions[key]
	g.mu.Unlock()
	if s == nil || s.protocol != protocol || s.user != user {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return nil
	}
	return s
}

// count returns the number of sessions of a protocol.
func (g *Gateway) count(protocol whip.Direction) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		if s.protocol == protocol {
			n++
		}
	}
	return n
}

// now is the time for rates, which no change of the clock disturbs.
func (g *Gateway) now() int64 { return int64(time.Since(g.began)) }

// resource is what a path names.
type resource struct {
	protocol whip.Direction
	user     string
	key      string // of a session, "" for the endpoint
}

// parsePath returns what a path names. The error is a *refusal.
func (g *Gateway) parsePath(path string) (resource, error) {
	nothing := refuse(http.StatusNotFound, "nothing has this path: want /whip/NAME or /whep/NAME")
	words := strings.Split(strings.TrimSuffix(path, "/"), "/") // "", protocol, name, key
	for i, word := range words {
		var err error
		if words[i], err = url.PathUnescape(word); err != nil {
			return resource{}, nothing
		}
	}
	if len(words) < 3 || len(words) > 4 || len(path) > whip.MaxURL {
		return resource{}, nothing
	}
	r := resource{protocol: whip.Direction(words[1]), user: words[2]}
	if !(r.protocol == whip.Publish && g.options.Publish || r.protocol == whip.Play && g.options.Play) {
		return resource{}, nothing
	}
	if r.user == "" {
		return resource{}, nothing
	}
	if err := signal.CheckName(r.user); err != nil {
		return resource{}, refuse(http.StatusNotFound, err.Error())
	}
	if len(words) == 4 {
		r.key = words[3]
	}
	return r, nil
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	counting := &countingWriter{ResponseWriter: w}
	res, err := g.parsePath(r.URL.EscapedPath())
	if err == nil {
		defer func() { g.metrics.request(res.protocol, r.Method, counting.status) }()
	}
	allowed := g.allowOrigin(counting, r)
	switch {
	case err != nil:
		writeError(counting, err)
	case !allowed:
		refuse(http.StatusForbidden, "pages from this origin may not connect to this server; its operator can allow the origin").write(counting)
	case res.key == "":
		g.serveEndpoint(counting, r, res)
	default:
		g.serveSession(counting, r, res)
	}
}

// allowOrigin sets the header of a response to a page elsewhere (Fetch standard, CORS protocol),
// and reports whether the page may use the gateway. Where tokens are required every page may: a
// browser adds none by itself.
func (g *Gateway) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if g.signaling.RequiresToken() {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Add("Vary", "Origin")
		if !g.signaling.OriginAllowed(r) {
			return false
		}
		if origin := r.Header.Get("Origin"); origin != "" {
			h.Set("Access-Control-Allow-Origin", origin)
		}
	}
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After, WWW-Authenticate, Accept-Post")
	return true
}

// Describe implements prometheus.Collector. The names of the metrics begin with whip_.
func (g *Gateway) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range g.metrics.collectors {
		c.Describe(descs)
	}
}

// Collect implements prometheus.Collector.
func (g *Gateway) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range g.metrics.collectors {
		c.Collect(metrics)
	}
}

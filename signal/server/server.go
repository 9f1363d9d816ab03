// Package server serves the protocol of package signal.
package server

import (
	"context"
	"hash/maphash"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/admission"
)

// Server is the signaling server, an http.Handler: a WebSocket upgrade on any path is signaling in
// either dialect, every other request goes to the pages. Serve it with Run, or mount it anywhere
// and Close it at the end.
type Server struct {
	opts     Options
	limits   limits
	log      *slog.Logger
	upgrader websocket.Upgrader
	sockets  *wsconn.Pool
	node     cluster.Node
	watcher  cluster.Watcher // node, nil if it does not notify
	call     *hub
	relay    *hub
	wheel    *wheel
	gate     *admission.Gate
	sessions *admission.Counter // sessions, also those whose client is away
	watches  *admission.Counter // names that sessions watch
	pending  pendingConns
	policy   *admission.Policy
	expiries expiries
	metrics  *metrics
	began    time.Time
	seed     maphash.Seed // of names in the log
	handlers []prefixHandler

	ctx     context.Context // ends with Close: what waits for an Authorizer waits no longer
	cancel  context.CancelFunc
	leaving atomic.Bool // the server drains or closes: no leave is sent for a session that ends

	mu      sync.Mutex // guards what follows
	pinging bool       // keepaliveLoop runs
	closed  bool

	wait sync.WaitGroup // every goroutine of this server
}

// New returns a server with these options; nil means the defaults. It starts no goroutine before
// the first connection.
func New(options *Options) *Server {
	if options == nil {
		options = &Options{}
	}
	opts := options.withDefaults()
	s := &Server{
		opts: opts, limits: opts.Limits.resolve(), log: opts.Logger,
		wheel: newWheel(opts.PingInterval, opts.PongTimeout),
		began: time.Now().Add(-time.Hour), // so that a zero bucket is of the past
		seed:  maphash.MakeSeed(),
	}
	s.metrics = newMetrics(s)
	s.gate = admission.NewGate(s.limits.gate())
	s.sessions = admission.NewCounter(s.limits.Connections, s.limits.PerAddress)
	s.policy = admission.NewPolicy(admission.Options{
		AllowOrigins: opts.AllowOrigins, IsOwnName: opts.IsOwnName, TrustedProxies: opts.TrustedProxies, ClientIPHeader: opts.ClientIPHeader,
	})
	if s.node = opts.Cluster; s.node == nil {
		s.node = cluster.NewMemory()
	}
	s.watcher, _ = s.node.(cluster.Watcher)
	s.watches = admission.NewCounter(math.MaxInt, s.limits.WatchesPerAddress)
	s.call, s.relay = newHub(s, signal.DialectCall), newHub(s, signal.DialectRelay)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sockets = wsconn.NewPool(wsconn.Config{
		MaxMessage: s.limits.Frame, MaxQueue: opts.MaxQueue, MessageTimeout: s.limits.FrameWait, Now: s.now, Goroutines: &s.wait,
	})
	s.upgrader = wsconn.NewUpgrader()
	s.upgrader.CheckOrigin = func(*http.Request) bool { return true } // ServeHTTP has checked it
	s.upgrader.Error = s.refuse
	s.upgrader.Subprotocols = []string{admission.Subprotocol}
	return s
}

// ServeHTTP implements http.Handler. For a WebSocket it returns after the upgrade: one goroutine of
// the server's own stays, so that what net/http holds for a request is freed.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		s.pages(r).ServeHTTP(w, r)
		return
	}
	if status, err := s.policy.CheckHandshake(r); err != nil {
		s.metrics.refused("upgrade")
		s.refuse(w, r, status, err)
		return
	}
	address := s.policy.ClientAddr(r)
	if why := s.admit(address); why != "" {
		s.metrics.refused(string(why))
		s.log.Debug("connection refused", slog.String("why", string(why)), slog.String("remote", address.String()))
		why.Respond(w)
		return
	}
	header := http.Header{signal.ServerHeader: {"1"}}
	if s.opts.NodeName != "" {
		header.Set(signal.NodeHeader, s.opts.NodeName)
	}
	ws, err := s.upgrader.Upgrade(w, r, header)
	if err != nil {
		s.gate.Leave(address)
		s.metrics.refused("upgrade")
		return // refuse has answered, or the client is gone
	}
	c := &conn{server: s, address: address, slot: -1}
	c.Conn = s.sockets.NewConn(ws, c)
	if s.opts.Auth != nil {
		c.token = admission.Token(r)
	}
	s.start(c, ws)
}

// newBatch returns a batch for what does not come from a client's message. The caller releases it.
func (s *Server) newBatch() *wsconn.Batch {
	w := s.sockets.Batch()
	w.Now = s.now()
	return w
}

func (s *Server) admit(address netip.Addr) admission.Refusal {
	if s.leaving.Load() {
		return admission.Draining
	}
	return s.gate.Enter(address, s.now())
}

// start takes a connection in, or closes it when the server is closed.
func (s *Server) start(c *conn, ws *websocket.Conn) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.gate.Leave(c.address)
		bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, goingAway)
		_ = ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
		_ = ws.Close()
		return
	}
	if !s.pinging {
		s.pinging = true
		s.wait.Add(1)
		go func() {
			defer s.wait.Done()
			s.keepaliveLoop()
		}()
	}
	s.wheel.add(c)
	s.wait.Add(1) // for start itself, which adds the reader
	defer s.wait.Done()
	s.mu.Unlock()
	s.metrics.accepted.Inc()
	w := s.sockets.Batch()
	defer w.Release()
	if out := s.pending.add(c, s.now(), s.limits.Pending); out != nil {
		s.evict(w, []*conn{out}, &closeError{signal.CloseOverloaded, signal.CodeOverloaded, "too many connections wait to log in"})
	}
	if s.opts.Greeting {
		c.Send(w, []byte("Hello world"))
	}
	w.Flush()
	c.Start()
}

const goingAway = "the server is shutting down"

// Close closes every connection with 1001 (going away) and waits until all goroutines have ended:
// at once where the clients answer, after seconds where they don't. Connections that come later are
// turned away. Close is safe to call twice.
func (s *Server) Close() error {
	s.leaving.Store(true)
	s.mu.Lock()
	s.closed = true
	s.cancel()
	s.mu.Unlock()
	w := s.sockets.Batch()
	s.wheel.each(func(c *conn) { c.close(w, websocket.CloseGoingAway, goingAway) })
	w.Release()
	w = s.newBatch()
	s.call.endResumable(w)
	s.relay.endResumable(w)
	w.Release()
	s.wait.Wait()
	return nil
}

// refuse answers a failed upgrade with a sentence that says what to do.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, reason error) {
	text := reason.Error()
	if status == http.StatusForbidden {
		text = "pages from this origin may not connect to this signaling server; its operator can allow the origin"
		s.metrics.origins.Inc()
		s.log.Info("origin refused: neither a name of this server nor allowed", slog.String("origin", signal.Printable(r.Header.Get("Origin"))))
	}
	w.Header().Set("Sec-WebSocket-Version", "13")
	admission.Respond(w, status, text)
}

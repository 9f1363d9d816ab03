// Package server serves the protocol of package signal.
package server

import (
	"context"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/realclientip/realclientip-go"

	"parley/signal/internal/wsconn"

	"parley/signal"
	"parley/signal/cluster"
)

// Server is the signaling server, an http.Handler: a WebSocket upgrade on any path is signaling in either dialect, every other
// request goes to the pages. Serve it with Run, or mount it anywhere and Close it at the end.
type Server struct {
	opts      Options
	limits    limits
	log       *slog.Logger
	upgrader  websocket.Upgrader
	sockets   *wsconn.Pool
	node      cluster.Node
	call      *hub
	relay     *hub
	wheel     *wheel
	admission *admission
	expiries  expiries
	clientIP  realclientip.Strategy
	metrics   *metrics
	began     time.Time
	seed      maphash.Seed // of names in the log

	ctx     context.Context // ends with Close: what waits for an Authorizer waits no longer
	cancel  context.CancelFunc
	leaving atomic.Bool // the server drains or closes: no leave is sent for a session that ends

	mu     sync.Mutex // guards what follows
	turns  bool       // the wheel's goroutine runs
	closed bool

	wait sync.WaitGroup // every goroutine of this server
}

// NewServer returns a server with these options; nil stands for none. It starts nothing before the first connection.
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
	s.admission = newAdmission(&s.limits)
	if s.node = opts.Cluster; s.node == nil {
		s.node = cluster.NewMemory()
	}
	s.call, s.relay = newHub(s, signal.DialectCall), newHub(s, signal.DialectRelay)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.clientIP = clientIPStrategy(opts.ClientIPHeader, opts.TrustedProxies)
	s.sockets = wsconn.NewPool(wsconn.Config{
		MaxMessage: s.limits.Frame, MaxQueue: opts.MaxQueue, MessageTimeout: s.limits.FrameWait, Now: s.now, Goroutines: &s.wait,
	})
	s.upgrader = wsconn.NewUpgrader()
	s.upgrader.CheckOrigin = func(*http.Request) bool { return true } // ServeHTTP has checked it
	s.upgrader.Error = s.refuse
	s.upgrader.Subprotocols = []string{subprotocol}
	return s
}

// ServeHTTP implements http.Handler. For a WebSocket it returns after the upgrade: one goroutine of the server's own stays, so that
// what net/http holds for a request is freed.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		s.opts.Pages.ServeHTTP(w, r)
		return
	}
	if status, err := s.checkHandshake(r); err != nil {
		s.metrics.refused("upgrade")
		s.refuse(w, r, status, err)
		return
	}
	address := s.remoteOf(r)
	if why := s.admit(address); why != "" {
		s.turnAway(w, address, why)
		return
	}
	ws, err := s.upgrader.Upgrade(w, r, http.Header{signal.ServerHeader: {"1"}})
	if err != nil {
		s.admission.conns.remove(address)
		s.metrics.refused("upgrade")
		return // refuse has answered, or the client is gone
	}
	c := &conn{server: s, address: address, slot: -1}
	c.Conn = s.sockets.NewConn(ws, c)
	if s.opts.Auth != nil {
		c.token = tokenOf(r)
	}
	s.start(c, ws)
}

// checkHandshake returns what is wrong with an opening handshake (RFC 6455, 4.2.1), and the status to answer it with. It comes before
// the limits: only what can become a connection counts as one.
func (s *Server) checkHandshake(r *http.Request) (status int, err error) {
	key, keyErr := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, errors.New("invalid WebSocket handshake: want a GET request")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusBadRequest, errors.New("invalid WebSocket handshake: want Sec-WebSocket-Version: 13")
	case keyErr != nil || len(key) != 16:
		return http.StatusBadRequest, errors.New("invalid WebSocket handshake: want a Sec-WebSocket-Key of 16 bytes in base64")
	case !s.originAllowed(r):
		return http.StatusForbidden, errors.New("origin not allowed")
	}
	return 0, nil
}

// newBatch returns a batch for what does not come from a client's message. The caller releases it.
func (s *Server) newBatch() *wsconn.Batch {
	w := s.sockets.Batch()
	w.Now = s.now()
	return w
}

func (s *Server) admit(address netip.Addr) refusal {
	if s.leaving.Load() {
		return draining
	}
	return s.admission.enter(address, s.now())
}

// turnAway answers an upgrade over a limit.
func (s *Server) turnAway(w http.ResponseWriter, address netip.Addr, why refusal) {
	status, text := http.StatusServiceUnavailable, "the signaling server has no room for another connection; try again later"
	switch why {
	case tooManyFromAddress:
		status, text = http.StatusTooManyRequests, "there are too many connections from your address; close some"
	case tooManyUpgradesFromAddress:
		status, text = http.StatusTooManyRequests, "too many connect at once from your address; try again in a moment"
	case tooManyUpgrades:
		status, text = http.StatusTooManyRequests, "too many connect at once; try again in a moment"
	case draining:
		text = "the signaling server is shutting down; try again in a moment"
	}
	s.metrics.refused(string(why))
	s.log.Debug("connection refused", slog.String("why", string(why)), slog.String("remote", address.String()))
	w.Header().Set("Retry-After", why.retryAfter())
	s.answer(w, status, text)
}

// start takes a connection in, or closes it when the server is closed.
func (s *Server) start(c *conn, ws *websocket.Conn) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.admission.conns.remove(c.address)
		bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, goingAway)
		_ = ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
		_ = ws.Close()
		return
	}
	if !s.turns {
		s.turns = true
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
	if out := s.admission.await(c, s.now()); out != nil {
		s.evict(w, []*conn{out}, &closeError{signal.CloseOverloaded, signal.CodeOverloaded, "too many connections wait to log in"})
	}
	if s.opts.Greeting {
		c.Send(w, []byte("Hello world"))
	}
	w.Flush()
	c.Start()
}

// keepaliveLoop pings connections, drops dead ones, and enforces the ends of logins and sessions, until Close.
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
		ping, dead := s.wheel.turn()
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

const goingAway = "the server is shutting down"

// Close closes every connection with 1001 (going away) and waits until all goroutines have ended: at once where the clients
// answer, after seconds where they don't. Connections that come later are turned away. It is safe to call twice.
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
	s.answer(w, status, text)
}

func (s *Server) answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

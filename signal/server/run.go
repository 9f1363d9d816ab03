package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"parley/signal/internal/admission"
)

// shutdownWait bounds the delivery of pages at the end.
const shutdownWait = 5 * time.Second

// Run serves on all listeners until ctx ends, and then returns nil, having closed the listeners and
// every connection, and waited for every goroutine. If a listener fails before, Run ends in the
// same way and returns that error. A server runs once.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("the server has nothing to listen on: give at least one address")
	}
	web := admission.NewHTTPServer(s, admission.HTTPOptions{
		Limits: s.limits.http(), Exempt: s.policy.IsProxy, Refused: func() { s.metrics.refused("sockets") }, Logger: s.log,
	})
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error {
			if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		return s.shut(web)
	})
	return group.Wait()
}

// NewHTTPServer returns an HTTP server for a listener that strangers reach: it bounds the size and
// time of a request, the time of a response, and the connections in all and per address. Only
// Connections, PerAddress, HeaderWait and Header of the limits count.
func NewHTTPServer(handler http.Handler, l Limits, logger *slog.Logger) *http.Server {
	resolved := l.resolve()
	return admission.NewHTTPServer(handler, admission.HTTPOptions{Limits: resolved.http(), Logger: logger})
}

// shut ends the HTTP server and the connections. Pages in delivery get a bounded time; Shutdown
// does not know of upgraded connections (net/http: it ignores hijacked ones), those are Close's.
func (s *Server) shut(web *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = s.Close()
	}()
	if web.Shutdown(ctx) != nil {
		_ = web.Close()
	}
	<-closed
	return nil
}

// drainTick is how often a drain checks whether all connections have ended.
const drainTick = 20 * time.Millisecond

// Drain makes room for another process: Ready turns false, new connections are refused with 503,
// and those that are there are closed with 1012 (service restart), spread over window by chance, so
// that they do not all come to the next server at once. Nobody gets a leave: the calls go on. It
// returns nil when all have gone. The end of ctx is a hard limit: then those that are left are cut,
// and Drain returns the cause. Afterwards end Run's context, or Close the server.
func (s *Server) Drain(ctx context.Context, window time.Duration) error {
	s.leaving.Store(true)
	due := s.schedule(window)
	start := time.Now()
	ticker := time.NewTicker(drainTick)
	defer ticker.Stop()
	for {
		w := s.sockets.Batch()
		for len(due) > 0 && time.Since(start) >= due[0].at {
			due[0].conn.close(w, websocket.CloseServiceRestart, "the server restarts; come back in a moment")
			due = due[1:]
		}
		w.Release()
		if s.empty() {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			s.wheel.each(func(c *conn) { c.Abort() })
			return context.Cause(ctx)
		}
	}
}

type scheduledClose struct {
	at   time.Duration
	conn *conn
}

// schedule returns when to close each connection, at random within the window, the first one first.
func (s *Server) schedule(window time.Duration) []scheduledClose {
	var due []scheduledClose
	s.wheel.each(func(c *conn) { due = append(due, scheduledClose{rand.N(max(window, 1)), c}) })
	slices.SortFunc(due, func(a, b scheduledClose) int { return int(a.at - b.at) })
	return due
}

func (s *Server) empty() bool {
	return s.gate.Count() == 0
}

// Ready reports whether new connections are taken in: until Drain, Close or the end of Run.
func (s *Server) Ready() bool { return !s.leaving.Load() }

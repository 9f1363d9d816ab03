package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// responseWait bounds the writing of a response, such as a page.
	responseWait = time.Minute
	// shutdownWait bounds the delivery of pages at the end.
	shutdownWait = 5 * time.Second
)

// Run serves on all listeners until ctx ends, and then returns nil, having closed the listeners and every connection, and waited
// for every goroutine. If a listener fails before, Run ends in the same way and returns that error. A server runs once.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("the server has nothing to listen on: give at least one address")
	}
	sockets := newConnLimiter(s.limits.Connections, s.limits.PerAddress)
	sockets.exempt = s.isProxy
	web := newHTTPServer(s, &s.limits, sockets, func() { s.metrics.refused("sockets") }, s.log)
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

// NewHTTPServer returns an HTTP server for a listener that strangers reach: it bounds the size and time of a request, the time of a
// response, and the connections in all and per address. Only Connections, PerAddress, HeaderWait and Header of the limits count.
func NewHTTPServer(handler http.Handler, l Limits, logger *slog.Logger) *http.Server {
	resolved := l.resolve()
	return newHTTPServer(handler, &resolved, newConnLimiter(resolved.Connections, resolved.PerAddress), func() {}, logger)
}

func newHTTPServer(handler http.Handler, l *limits, sockets *connLimiter, refused func(), logger *slog.Logger) *http.Server {
	headerWait := l.HeaderWait
	if headerWait == math.MaxInt64 {
		headerWait = 0 // no bound, in net/http
	}
	return &http.Server{
		ConnState: sockets.connState(refused),
		Handler:   handler,
		// Against clients that send their header byte by byte, or without end.
		ReadHeaderTimeout: headerWait,
		MaxHeaderBytes:    l.Header,
		IdleTimeout:       time.Minute,
		// Against clients that send a body or read a response byte by byte. Neither holds for a connection that was upgraded.
		ReadTimeout:  headerWait,
		WriteTimeout: responseWait,
		ErrorLog:     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// shut ends the HTTP server and the connections. Pages in delivery get a bounded time; Shutdown does not know of upgraded
// connections (net/http: it ignores hijacked ones), those are Close's.
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

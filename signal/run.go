package signal

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
	// pageWait bounds the delivery of a page.
	pageWait = time.Minute
	// shutdownWait bounds the delivery of pages at the end.
	shutdownWait = 5 * time.Second
)

// Run serves on all listeners until ctx ends, and then returns nil, having closed the listeners and every connection, and waited
// for every goroutine. If a listener fails before, Run ends in the same way and returns that error. A server runs once.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errors.New("the server has nothing to listen on: give at least one address")
	}
	headerWait := s.limits.HeaderWait
	if headerWait == math.MaxInt64 {
		headerWait = 0 // as net/http says it
	}
	sockets := newConnLimiter(s.limits.Connections, s.limits.PerAddress)
	sockets.exempt = s.isProxy
	web := &http.Server{
		ConnState: sockets.connState(func() { s.metrics.refused("sockets") }),
		Handler:   s,
		// Against clients that send their header byte by byte, or without end.
		ReadHeaderTimeout: headerWait,
		MaxHeaderBytes:    s.limits.Header,
		IdleTimeout:       time.Minute,
		// Against clients that read a page byte by byte. Neither holds for a connection that was upgraded.
		ReadTimeout:  headerWait,
		WriteTimeout: pageWait,
		ErrorLog:     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
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

package server

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// drainTick is how often a drain looks whether everybody has gone.
const drainTick = 20 * time.Millisecond

// Drain makes room for another process: Ready turns false, new connections are refused with 503, and those that are there are closed
// with 1012 (service restart), spread over window by chance, so that they do not all come to the next server at once. Nobody
// is told that a user has left: the calls go on. It returns nil when all have gone. The end of ctx is a hard limit: then those that
// are left are cut, and Drain returns the cause. Afterwards end Run's context, or Close the server.
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

type parting struct {
	at   time.Duration
	conn *conn
}

// schedule gives every connection its moment within the window.
func (s *Server) schedule(window time.Duration) []parting {
	var due []parting
	s.wheel.each(func(c *conn) { due = append(due, parting{rand.N(max(window, 1)), c}) })
	slices.SortFunc(due, func(a, b parting) int { return int(a.at - b.at) })
	return due
}

func (s *Server) empty() bool {
	total, _ := s.admission.counts()
	return total == 0
}

// Ready reports whether new connections are taken in: until Drain, Close or the end of Run.
func (s *Server) Ready() bool { return !s.leaving.Load() }

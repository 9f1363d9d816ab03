package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"parley/signal"
	"parley/signal/internal/wire"
)

// ErrNotWatched is wrapped by the error of Watch if the server does not notify the client.
var ErrNotWatched = errors.New("the signaling server does not report when a name signs in")

// watchReplyTimeout is how long the server may take to reply to a request to watch a name.
const watchReplyTimeout = 10 * time.Second

// Watch waits until a client is signed in by a name. The client must be logged in. The error wraps
// ErrNotWatched if the server cannot notify it: an original server, or one whose limit is reached.
// The error is the cause of ctx if that ends first. Receive must be called meanwhile.
func (c *Client) Watch(ctx context.Context, name string) error {
	if err := signal.CheckPeerName(name); err != nil {
		return err
	}
	if !c.ours {
		return ErrNotWatched
	}
	w := c.watches.add(name)
	defer c.watches.remove(w)
	timer := time.NewTimer(watchReplyTimeout)
	defer timer.Stop()
	for due := true; ; {
		if due {
			if err := c.enqueue(ctx, outgoing{frame: c.codec.WatchRequest(name), typ: wire.TypeWatch}); err != nil {
				return err
			}
			due, w.asked = false, true
			timer.Reset(watchReplyTimeout)
		}
		select {
		case r := <-w.replies:
			switch {
			case r.err != nil:
				return r.err
			case r.Present:
				return nil
			}
			w.asked = false
			timer.Reset(max(r.ExpiresIn/2, minRenewal))
		case <-timer.C:
			if w.asked {
				return fmt.Errorf("%w: no reply within %s", ErrNotWatched, watchReplyTimeout)
			}
			due = true
		case <-w.lost:
			due = true
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.done:
			return c.err
		}
	}
}

// ReportsAbsence reports whether the server answers a message for a client that is not signed in
// with an error. Parley's does; an original drops the message, or crashes in the relay dialect.
func (c *Client) ReportsAbsence() bool { return c.ours }

// watch is one Watch that waits.
type watch struct {
	name    string
	replies chan watchReply
	lost    chan struct{} // holds a token after the session with the watch was lost
	asked   bool          // a request has no reply yet; of the goroutine of Watch
}

// watchReply is a reply to a request to watch a name, or the notification.
type watchReply struct {
	wire.WatchReply
	err error
}

// watches are the watches of a Client.
type watches struct {
	mu  sync.Mutex // guards all
	all map[*watch]struct{}
}

func (s *watches) add(name string) *watch {
	w := &watch{name: name, replies: make(chan watchReply, 4), lost: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*watch]struct{})
	}
	s.all[w] = struct{}{}
	return w
}

func (s *watches) remove(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, w)
}

// handleReply passes a reply to the watches of its name. One that comes too fast is dropped.
func (s *watches) handleReply(r watchReply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.all {
		if w.name == r.Name || r.Name == "" {
			select {
			case w.replies <- r:
			default:
			}
		}
	}
}

// handleError handles an error of the server. It reports whether that answers a request to watch a
// name.
func (s *watches) handleError(m signal.Message) bool {
	if m.Type != signal.Error {
		return false
	}
	switch m.Code {
	case signal.CodeUnknownType: // a client sends no other type that a server may not know
		m.Peer = ""
	case signal.CodeTooManyWatches, signal.CodeUnavailable, signal.CodeBadName:
		if m.Peer == "" {
			return false
		}
	default:
		return false
	}
	if !s.has(m.Peer) {
		return false
	}
	s.handleReply(watchReply{wire.WatchReply{Name: m.Peer}, fmt.Errorf("%w: %s", ErrNotWatched, cmp.Or(m.Text, m.Code))})
	return true
}

// has reports whether a name is watched, or any for "".
func (s *watches) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.all {
		if w.name == name || name == "" {
			return true
		}
	}
	return false
}

// sessionLost makes all watches send their request again, because the server has a new session.
func (s *watches) sessionLost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.all {
		wake(w.lost)
	}
}

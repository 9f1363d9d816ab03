package peer

import (
	"context"
	"errors"
	"sync"

	"parley/peer/internal/negotiation"
)

// A change of a connected call that has to be negotiated. A change is made when an offer is
// created, and reported as done when the peer has answered that. When the offer fails, it is
// undone.
type change struct {
	// make makes the change. It returns what undoes it, or nil if it need not be negotiated.
	make func() (undo func(), err error)
	// again: the change is undone when its offer is rolled back, and made again for the next.
	// Others stay made meanwhile.
	again  bool
	before beforeUp
	result chan error // gets the result once, and has room for it; set by request

	undo func()
}

// beforeUp is what happens to a change that is requested before the call is connected.
type beforeUp int

const (
	rejectedBefore  beforeUp = iota
	postponedBefore          // until it is connected
	madeBefore
)

// changes are the changes of a call that are not over yet. They are used by the goroutine of Run,
// except the fields guarded by mu.
type changes struct {
	transports *transports
	negotiator *negotiator
	tracks     *localTracks

	mu     sync.Mutex
	open   map[*change]bool // guarded by mu: not reported yet
	closed bool             // guarded by mu: no more are accepted

	postponed []*change
	queued    []*change // for the next offer
	out       []*change // in the offer that is out
}

// Why a change is not made.
var (
	errNotUp      = errors.New("the call is not connected yet")
	errNotSent    = errors.New("there is no such track in the call")
	errUnanswered = errors.New("the peer gives no answer; is its signaling still up")
	errOneOffer   = errors.New("the peer accepts no further offer")
)

// ErrOver is the reason why a change, or a line of text, came to nothing when the call ended.
var ErrOver = errors.New("the call is over")

// ErrRejected is the reason why a change failed that the peer has rejected.
var ErrRejected = errors.New("rejected by the peer")

// add adds a change that was requested. It reports false if the call is over.
func (s *changes) add(c *change) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.open == nil {
		s.open = map[*change]bool{}
	}
	s.open[c] = true
	return true
}

// resolve reports how a change ended, once.
func (s *changes) resolve(c *change, err error) {
	s.mu.Lock()
	open := s.open[c]
	delete(s.open, c)
	s.mu.Unlock()
	if open {
		c.result <- err
	}
}

// apply makes a change and starts its negotiation.
func (s *changes) apply(ctx context.Context, ch *change) error {
	switch {
	case !s.transports.established && ch.before == rejectedBefore:
		s.resolve(ch, errNotUp)
		return nil
	case !s.transports.established && ch.before == postponedBefore:
		s.postponed = append(s.postponed, ch)
		return nil
	}
	// Transceivers are not touched while an offer is out that describes them.
	if !ch.again || s.negotiator.state.State == negotiation.Stable {
		undo, err := ch.make()
		if err != nil || undo == nil {
			s.resolve(ch, err)
			return nil
		}
		ch.undo = undo
	}
	s.queued = append(s.queued, ch)
	return s.negotiator.tolerate(s.negotiator.needed(ctx))
}

// applyPostponed makes the changes that waited for the call to be connected.
func (s *changes) applyPostponed(ctx context.Context) error {
	postponed := s.postponed
	s.postponed, s.tracks.muted = nil, nil
	for _, ch := range postponed {
		if err := s.apply(ctx, ch); err != nil {
			return err
		}
	}
	return nil
}

// begin makes the changes that wait for the next offer.
func (s *changes) begin() {
	queued := s.queued
	s.queued = nil
	for _, c := range queued {
		if c.undo == nil {
			undo, err := c.make()
			if err != nil || undo == nil {
				s.resolve(c, err)
				continue
			}
			c.undo = undo
		}
		s.out = append(s.out, c)
	}
}

// confirm reports the changes in the offer as done.
func (s *changes) confirm() {
	out := s.out
	s.out = nil
	for _, c := range out {
		s.resolve(c, nil)
	}
}

// fail undoes the changes in the offer, the latest first, and reports why.
func (s *changes) fail(why error) {
	out := s.out
	s.out = nil
	for i := len(out) - 1; i >= 0; i-- {
		out[i].undo()
	}
	for _, c := range out {
		s.resolve(c, why)
	}
}

// rollback returns the changes in the offer to those that wait for the next.
func (s *changes) rollback() {
	for i := len(s.out) - 1; i >= 0; i-- {
		if c := s.out[i]; c.again {
			c.undo()
			c.undo = nil
		}
	}
	s.queued, s.out = append(s.out, s.queued...), nil
}

// close reports all changes as failed, because the call is over.
func (s *changes) close() {
	s.mu.Lock()
	open := s.open
	s.closed, s.open = true, nil
	s.mu.Unlock()
	for c := range open {
		c.result <- ErrOver
	}
}

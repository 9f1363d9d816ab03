// Package whipcall carries the messages of one call by WHIP or WHEP.
//
// An offer becomes a POST, and the answer is in the response. Candidates are held until then and
// sent by PATCH. A later offer can only restart ICE, which is a PATCH as well. A leave is a DELETE.
package whipcall

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/signal"
	"parley/signal/whip"
	"parley/signal/whip/client"
)

// Options are the options of a Session.
type Options struct {
	client.Options
	Endpoint whip.Endpoint // its direction is Publish or Play
	// Trickle sends candidates that the offer does not have by PATCH. Otherwise the offer waits for
	// all candidates, unless GatherAfter.
	Trickle bool
	// GatherAfter says that the call gathers candidates after the answer.
	GatherAfter bool
}

// A Session carries the messages of one call.
type Session struct {
	options Options
	client  *client.Client
	ctx     context.Context // of requests that create or change the session
	cancel  context.CancelFunc
	wake    chan struct{} // holds a token if queue or over has changed
	ended   chan struct{} // closed when run has returned

	mu       sync.Mutex       // guards the following
	queue    []signal.Message // to be sent
	over     bool             // nothing is sent any more but DELETE
	received []signal.Message
	fresh    chan struct{} // closed and replaced with every received message and with err
	err      error         // why there is no session
	servers  []signal.ICEServer

	// The goroutine of run uses the following alone.
	offer   string // the latest one
	answer  string // of the server, "" before it has come
	local   *whip.Fragment
	held    []whip.Candidate // not sent yet
	end     bool             // there are no further candidates
	endSent bool
	noPatch bool // the server does not take candidates
	noICE   error
	timer   *time.Timer
}

const (
	// maxHold bounds how long the first offer waits for candidates without trickle ICE. Pion tries
	// servers that do not respond for longer.
	maxHold = 4 * time.Second
	// batch is how long candidates are collected for one PATCH.
	batch = 100 * time.Millisecond
	// closeTimeout bounds a request that is under way when the call ends, and then DELETE.
	closeTimeout = 3 * time.Second
	// maxQueue bounds the messages that are not sent yet.
	maxQueue = 1024
)

// New returns a session, which sends nothing before an offer. The caller calls Close.
func New(o Options) *Session {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Session{options: o, client: client.New(o.Endpoint, o.Options), wake: make(chan struct{}, 1), ended: make(chan struct{}), fresh: make(chan struct{}), timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

// Send queues a message of the call. A leave ends the session, and Send waits until the server has
// answered DELETE or ctx is over, for the caller closes the connection then (RFC 9725 section 4.2).
func (s *Session) Send(ctx context.Context, m signal.Message) error {
	if m.Type == signal.Leave {
		return s.leave(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case s.over:
		return errOver
	case len(s.queue) == maxQueue:
		return errors.New("the server does not answer, and too many messages wait for it")
	}
	s.queue = append(s.queue, m)
	s.notify()
	return nil
}

var (
	errOver         = errors.New("the session is over")
	errCounterOffer = errors.New("there is no ICE restart in a session that began with a counter-offer")
)

// leave ends the session and waits for that.
func (s *Session) leave(ctx context.Context) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.End()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// notify wakes run.
func (s *Session) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// GatheringComplete notes that there are no further candidates.
func (s *Session) GatheringComplete() {
	_ = s.Send(context.Background(), signal.Message{Type: signal.ICECandidate}) // only a session that is over refuses it
}

// Receive returns the next message of the server: the answer, or the rejection of an ICE restart.
func (s *Session) Receive(ctx context.Context) (signal.Message, error) {
	for {
		s.mu.Lock()
		fresh, err := s.fresh, s.err
		if len(s.received) > 0 {
			m := s.received[0]
			s.received = s.received[1:]
			s.mu.Unlock()
			return m, nil
		}
		s.mu.Unlock()
		if err != nil {
			return signal.Message{}, err
		}
		select {
		case <-fresh:
		case <-ctx.Done():
			return signal.Message{}, ctx.Err()
		}
	}
}

// deliver hands a message to Receive.
func (s *Session) deliver(m signal.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, m)
	close(s.fresh)
	s.fresh = make(chan struct{})
}

// fail ends the session with an error.
func (s *Session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.fresh)
		s.fresh = make(chan struct{})
	}
}

// ICEServers returns the ICE servers that the server has named.
func (s *Session) ICEServers() []signal.ICEServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.servers)
}

// End ends the session at the server. It does not wait for that.
func (s *Session) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over, s.queue = true, nil
		s.notify()
		time.AfterFunc(closeTimeout, s.cancel)
	}
}

// Close ends the session at the server and closes the connection to it. It waits for at most twice
// closeTimeout.
func (s *Session) Close() error {
	s.End()
	<-s.ended
	s.fail(errOver)
	return nil
}

// run sends the messages of the call until it is over.
func (s *Session) run() {
	defer close(s.ended)
	defer s.client.Close()
	defer s.cancel()
	defer s.timer.Stop()
	for {
		s.mu.Lock()
		queue, over := s.queue, s.over
		s.queue = nil
		s.mu.Unlock()
		if over {
			s.delete()
			return
		}
		for _, m := range queue {
			s.send(m)
		}
		s.flush(false)
		select {
		case <-s.wake:
		case <-s.timer.C:
			s.flush(true)
		}
	}
}

// delete ends the session at the server.
func (s *Session) delete() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.client.Delete(ctx); err != nil {
		s.options.Logger.Debug("the session was not deleted", "error", err)
	}
}

// send sends a message of the call.
func (s *Session) send(m signal.Message) {
	switch m.Type {
	case signal.Offer:
		s.sendOffer(m.SDP)
	case signal.Answer:
		if m.SDP == "" {
			return
		}
		s.held, s.end, s.endSent = nil, false, false // they were of the offer
		if err := s.client.Answer(s.ctx, m.SDP); err != nil {
			s.lose(err)
			return
		}
		s.describe(m.SDP)
	case signal.ICECandidate:
		if m.Candidate == nil || m.Candidate.Candidate == "" {
			s.end = true
			return
		}
		c := whip.Candidate{Line: m.Candidate.Candidate}
		if !strings.HasPrefix(c.Line, "candidate:") {
			c.Line = "candidate:" + c.Line
		}
		if len(s.held) < whip.MaxCandidates {
			s.held = append(s.held, c)
		}
	}
}

// describe notes a description of ours that is in force, with its candidates as sent.
func (s *Session) describe(sdp string) {
	if f, err := whip.FragmentOf(sdp); err == nil {
		s.local = f
	}
}

// sendOffer sends the first offer, or what a later one changes: the ICE credentials. An offer that
// is sent again because no answer has come changes nothing.
func (s *Session) sendOffer(sdp string) {
	if s.offer == "" {
		s.offer = sdp
		s.describe(sdp)
		if !s.options.Trickle && !s.options.GatherAfter {
			s.timer.Reset(maxHold)
			return
		}
		s.post()
		return
	}
	f, err := whip.FragmentOf(sdp)
	switch {
	case err != nil:
		s.reject(err)
	case s.answer == "" || s.local != nil && f.Ufrag == s.local.Ufrag:
	case s.noICE != nil:
		s.reject(s.noICE)
	default:
		s.restart(f)
	}
}

// post sends the first offer with the candidates that are there.
func (s *Session) post() {
	offer, err := whip.MuxOnly(s.offer)
	if err == nil {
		offer, err = (&whip.Fragment{Candidates: s.held, End: s.end}).Describe(offer)
	}
	if err != nil {
		s.lose(err)
		return
	}
	s.held, s.endSent = nil, s.end
	d, err := s.client.Post(s.ctx, offer)
	if err != nil {
		s.lose(err)
		return
	}
	s.mu.Lock()
	s.servers = d.ICEServers
	s.mu.Unlock()
	s.answer = d.SDP
	m := signal.Message{Type: signal.Answer, SDP: d.SDP}
	if d.Offer {
		m.Type, s.local, s.noICE = signal.Offer, nil, errCounterOffer
	}
	s.deliver(m)
}

// lose ends a session that did not come about. One that the server has created nevertheless is
// deleted.
func (s *Session) lose(err error) {
	s.delete()
	s.fail(err)
}

// reject reports that the server has not accepted an ICE restart.
func (s *Session) reject(err error) {
	s.deliver(signal.Message{Type: signal.Answer, Text: err.Error()})
}

// restart restarts ICE. Candidates that are held belong to the session before.
func (s *Session) restart(f *whip.Fragment) {
	s.held, s.end, s.endSent = nil, false, false
	theirs, err := s.client.Restart(s.ctx, f)
	var failed *client.Error
	if errors.As(err, &failed) && failed.Unsupported() {
		s.noICE = err
	}
	answer := ""
	if err == nil {
		answer, err = theirs.Describe(s.answer)
	}
	if err != nil {
		s.reject(err)
		return
	}
	s.local, s.answer = f, answer
	s.deliver(signal.Message{Type: signal.Answer, SDP: answer})
}

// flush sends what is held: the first offer once all candidates are there, candidates after the
// answer. due says that the time to wait for more is over.
func (s *Session) flush(due bool) {
	switch {
	case s.offer == "":
		return
	case s.answer == "":
		s.mu.Lock()
		lost := s.err != nil
		s.mu.Unlock()
		if !lost && (s.end || due) {
			s.timer.Stop()
			s.post()
		}
		return
	case s.local == nil || s.noPatch || !s.options.Trickle || len(s.held) == 0 && (!s.end || s.endSent):
		return
	case !due && !s.end:
		s.timer.Reset(batch)
		return
	}
	s.timer.Stop()
	f := *s.local
	f.Candidates, f.End = nil, s.end
	for _, c := range s.held {
		f.Candidates = append(f.Candidates, whip.Candidate{Kind: f.Kind, Mid: f.Mid, Line: c.Line})
	}
	s.held, s.endSent = nil, s.end
	if err := s.client.Trickle(s.ctx, &f); err != nil {
		var failed *client.Error
		s.noPatch = errors.As(err, &failed) && failed.Unsupported()
		s.options.Logger.Debug("candidates were not sent", "error", err)
	}
}

package main

import (
	"context"
	"errors"

	"parley/cmd/parley/internal/chat/tui"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/transfer"
	"parley/peer/datachannel"
	"parley/peer/filetransfer"
	"parley/signal"
)

// Bounds of the calls that nobody has answered yet.
const (
	maxRings      = 32
	maxCandidates = 64 // of one of them
)

// pendingCall is a call that comes and was not answered yet.
type pendingCall struct {
	offer      signal.Message
	candidates []signal.Message
	question   int
	cancel     context.CancelFunc // ends the opening of the sources, once it is answered
}

// chatting is the channelApp of a call of a chat: text, and files in any number of
// transfers.
type chatting struct {
	*transfer.Incoming
	session *session
}

// Channels returns the channel that the caller opens.
func (t *chatting) Channels() []datachannel.Options {
	return []datachannel.Options{{Label: t.session.label()}}
}

// Ready returns a channel that is closed once the call is connected.
func (t *chatting) Ready() <-chan struct{} { return t.session.Connected() }

// place calls somebody.
func (c *chat) place(ctx context.Context, name string) {
	err := signal.CheckPeerName(name)
	if name == c.Name {
		err = errors.New("that is you")
	}
	if err != nil {
		c.report.Warnf("%s cannot be called: %v", sanitize.Text(name), err)
		return
	}
	s, err := newSession(ctx, c.settings, name, c.signaling.to(name), true, false, nil)
	if err != nil {
		c.report.Warnf("%s is not called: %v", sanitize.Text(name), err)
		c.over(name, &exit.ReportedError{Err: err})
		return
	}
	if c.signaling.isDisconnected() {
		c.report.Infof("%s is called once the signaling server is back", sanitize.Text(name))
	}
	c.calls.add(s)
	c.begin(ctx, s)
}

// begin runs a call beside.
func (c *chat) begin(ctx context.Context, s *session) {
	c.inbox.post(tui.Moved{Peer: s.name, To: tui.Calling})
	c.work.Go(func() {
		err := s.run(ctx)
		if err != nil && ctx.Err() == nil {
			c.report.Warnf("%v", err)
			err = &exit.ReportedError{Err: err}
		}
		if s.name == c.with {
			c.outcome.Store(&callEnded{err})
		}
		c.inbox.post(func() {
			c.calls.remove(s)
			if c.calls.get(s.name) == nil {
				c.over(s.name, err)
			}
		})
	})
}

// over takes the end of a call, and that of the chat if it was for that call.
func (c *chat) over(name string, err error) {
	c.inbox.post(tui.Moved{Peer: name, To: tui.Apart})
	if c.scripted && c.with == name {
		c.inbox.post(func() { c.stop(&callEnded{err}) })
	}
}

// offered takes an offer: of a call that is up, or of one that is asked for.
func (c *chat) offered(ctx context.Context, m signal.Message) {
	old := c.calls.get(m.Peer)
	switch {
	case m.Peer == "":
		c.report.Warnf("an offer came from nobody, and was ignored")
		return
	case old != nil && old.continues(m.SDP):
		old.deliver(m)
		return
	case old != nil:
		old.call.DeliverLeave() // a page that was loaded anew
	}
	if r := c.rings[m.Peer]; r != nil { // likewise
		again := r.cancel != nil && r.offer.SDP != m.SDP
		if again {
			r.cancel()
		}
		if r.cancel == nil || again {
			r.offer, r.candidates = m, nil
		}
		if again {
			c.pickUp(ctx, r)
		}
		return
	}
	if old == nil && c.full() || len(c.rings) >= maxRings {
		c.signaling.rejectBusy(ctx, m)
		return
	}
	r := &pendingCall{offer: m}
	if c.accept {
		c.pickUp(ctx, r)
		return
	}
	c.rings[m.Peer] = r
	c.reportRing(m.Peer, "asked", "")
	r.question = c.questions.put(m.Peer, sanitize.Text(m.Peer)+" calls", func(yes bool) {
		if yes {
			c.reportRing(m.Peer, "accepted", "")
			c.pickUp(ctx, r)
			return
		}
		delete(c.rings, m.Peer)
		c.reportRing(m.Peer, "declined", "declined the call of "+sanitize.Text(m.Peer))
		c.hangUpOn(ctx, m.Peer)
	})
}

// full reports whether there is no room for one more call.
func (c *chat) full() bool {
	answered := 0
	for _, r := range c.rings {
		if r.cancel != nil {
			answered++
		}
	}
	return c.MaxCalls > 0 && len(c.calls.all())+answered >= c.MaxCalls
}

func (c *chat) reportRing(name, state, say string) {
	c.report.Report(event.Event{Name: "ring", Peer: name, Fields: event.Fields("state", state), Message: say})
}

// rang takes what comes of a call that was not answered yet.
func (c *chat) rang(r *pendingCall, m signal.Message) {
	switch {
	case m.Type == signal.Leave:
		delete(c.rings, m.Peer)
		if r.cancel != nil {
			r.cancel()
		} else {
			c.questions.withdraw(r.question)
		}
		c.reportRing(m.Peer, "gone", sanitize.Text(m.Peer)+" has given up")
	case m.Type == signal.ICECandidate && len(r.candidates) < maxCandidates:
		r.candidates = append(r.candidates, m)
	}
}

// pickUp answers a call once its sources are open. Until then its messages are kept.
func (c *chat) pickUp(ctx context.Context, r *pendingCall) {
	opening, cancel := context.WithCancel(ctx)
	r.cancel = cancel
	offer := r.offer
	c.rings[offer.Peer] = r
	c.work.Go(func() {
		defer cancel()
		s, err := c.open(opening, offer)
		c.inbox.post(func() { c.pickedUp(ctx, r, offer, s, err) })
	})
}

// pickedUp begins a call whose sources are open, unless the caller has left.
func (c *chat) pickedUp(ctx context.Context, r *pendingCall, offer signal.Message, s *session, err error) {
	name := offer.Peer
	if c.rings[name] != r || r.offer.SDP != offer.SDP || ctx.Err() != nil {
		if s != nil {
			s.closeMedia()
		}
		return
	}
	delete(c.rings, name)
	if err == nil {
		err = s.place(c.signaling.to(name))
	}
	if err != nil {
		c.report.Warnf("the call of %s is not answered: %v", sanitize.Text(name), err)
		c.hangUpOn(ctx, name)
		return
	}
	c.calls.add(s)
	s.deliver(r.offer)
	for _, m := range r.candidates {
		s.deliver(m)
	}
	c.begin(ctx, s)
}

func (c *chat) hangUpOn(ctx context.Context, name string) {
	if err := c.signaling.to(name).Leave(ctx); err != nil {
		c.logger.Debug("the hang-up was not sent", "error", err)
	}
}

// send offers files in a call that is up.
func (c *chat) send(s *session, paths []string) {
	list, err := transfer.Collect(paths, s.report)
	if err != nil {
		s.report.Warnf("%v", err)
		return
	}
	ch, err := s.call.OpenChannel(s.Context(), datachannel.Options{Label: "files", Protocol: filetransfer.Protocol, Detached: true})
	if err != nil {
		s.report.Warnf("the files are not sent to %s: %v", sanitize.Text(s.name), err)
		return
	}
	if err := transfer.Send(s, ch, list); err != nil {
		s.report.Warnf("%v", err)
	}
}

package main

import (
	"context"
	"errors"
	"time"

	"parley/cmd/parley/internal/answer"
	"parley/cmd/parley/internal/chat/tui"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/transfer"
	"parley/peer/datachannel"
	"parley/peer/filetransfer"
	"parley/signal"
)

// chatting is the channelApp of a call of a chat: text, and files in any number of
// transfers.
type chatting struct {
	*transfer.Incoming
	session *session.Session
}

// Channels returns the channel that the caller opens.
func (t *chatting) Channels() []datachannel.Options {
	return []datachannel.Options{{Label: t.session.Label()}}
}

// Ready returns a channel that is closed once the call is connected.
func (t *chatting) Ready() <-chan struct{} { return t.session.Connected() }

// placing is a call to a peer whose sources are being opened.
type placing struct {
	cancel  func()
	waiting []func(*session.Session) // what is done once it has begun
}

// maxWaiting bounds what waits for a call to begin.
const maxWaiting = 1024

// place calls a peer, once it has signed in, for which it waits.
func (c *chat) place(ctx context.Context, name string, wait time.Duration) {
	err := signal.CheckPeerName(name)
	if name == c.options.Name {
		err = errors.New("that is you")
	}
	var cancel func()
	if err == nil {
		cancel, err = c.answerer.Call(ctx, name, wait)
	}
	if err != nil {
		c.resources.Report.Warnf("%s cannot be called: %v", sanitize.Text(name), err)
		return
	}
	c.placing[name] = &placing{cancel: cancel}
	c.inbox.post(tui.Moved{Peer: name, To: tui.Calling})
}

// Begun implements user.
func (c *chat) Begun(s *session.Session) {
	if s.Caller && c.answerer.Signaling.IsDisconnected() {
		c.resources.Report.Infof("%s is called once the signaling server is back", sanitize.Text(s.Peer()))
	}
	c.inbox.post(tui.Moved{Peer: s.Peer(), To: tui.Calling})
	c.inbox.post(func() {
		p := c.placing[s.Peer()]
		if p == nil || !s.Caller {
			return
		}
		delete(c.placing, s.Peer())
		for _, do := range p.waiting {
			do(s)
		}
	})
}

// Failed implements user.
func (c *chat) Failed(ctx context.Context, name string, err error) {
	if errors.Is(err, answer.ErrHungUp) || ctx.Err() != nil {
		err = nil
	} else {
		c.resources.Report.Warnf("%s is not called: %v", sanitize.Text(name), err)
		err = &exit.ReportedError{Err: err}
	}
	if name == c.with {
		c.outcome.Store(&answer.CallEnded{Err: err})
	}
	c.inbox.post(func() {
		if p := c.placing[name]; p != nil && len(p.waiting) > 0 {
			c.refused.Store(true)
		}
		delete(c.placing, name)
		c.over(name, err)
	})
}

// Ended implements user.
func (c *chat) Ended(ctx context.Context, s *session.Session, err error) {
	if err != nil && ctx.Err() == nil {
		c.resources.Report.Warnf("%v", err)
		err = &exit.ReportedError{Err: err}
	}
	if s.Peer() == c.with {
		c.outcome.Store(&answer.CallEnded{Err: err})
	}
	c.inbox.post(func() {
		if c.answerer.Calls.Get(s.Peer()) == nil && c.placing[s.Peer()] == nil {
			c.over(s.Peer(), err)
		}
	})
}

// over handles the end of a call, and that of the chat if it was for that call.
func (c *chat) over(name string, err error) {
	c.inbox.post(tui.Moved{Peer: name, To: tui.Apart})
	if c.scripted && c.with == name {
		c.inbox.post(func() { c.answerer.Stop(&answer.CallEnded{Err: err}) })
	}
}

// Accept implements user: it asks whether a call is to be answered.
func (c *chat) Accept(ctx context.Context, name string) error {
	if c.acceptAll {
		return nil
	}
	c.reportRing(name, "asked", "")
	yes, err := c.questions.ask(ctx, name, sanitize.Text(name)+" calls")
	switch {
	case err != nil:
		return context.Cause(ctx)
	case yes:
		c.reportRing(name, "accepted", "")
		return nil
	}
	c.reportRing(name, "declined", "declined the call of "+sanitize.Text(name))
	return answer.ErrDeclined
}

// Left implements user.
func (c *chat) Left(name string) {
	c.reportRing(name, "gone", sanitize.Text(name)+" has given up")
}

func (c *chat) reportRing(name, state, say string) {
	c.resources.Report.Report(event.Event{Name: "ring", Peer: name, Fields: event.Fields("state", state), Message: say})
}

// send offers files in a call that is up.
func (c *chat) send(s *session.Session, paths []string) {
	list, err := transfer.Collect(paths, s.Reporter())
	if err != nil {
		s.Reporter().Warnf("%v", err)
		return
	}
	ch, err := s.Call.OpenChannel(s.Context(), datachannel.Options{Label: "files", Protocol: filetransfer.Protocol, Detached: true})
	if err != nil {
		s.Reporter().Warnf("the files are not sent to %s: %v", sanitize.Text(s.Peer()), err)
		return
	}
	if err := transfer.Send(s, ch, list); err != nil {
		s.Reporter().Warnf("%v", err)
	}
}

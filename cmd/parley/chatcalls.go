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

// placing is a call to a peer whose sources are being opened.
type placing struct {
	cancel  func()
	waiting []func(*session) // what is done once it has begun
}

// maxWaiting bounds what waits for a call to begin.
const maxWaiting = 1024

// place calls a peer.
func (c *chat) place(ctx context.Context, name string) {
	err := signal.CheckPeerName(name)
	if name == c.options.Name {
		err = errors.New("that is you")
	}
	var cancel func()
	if err == nil {
		cancel, err = c.answerer.call(ctx, name)
	}
	if err != nil {
		c.resources.report.Warnf("%s cannot be called: %v", sanitize.Text(name), err)
		return
	}
	c.placing[name] = &placing{cancel: cancel}
	c.inbox.post(tui.Moved{Peer: name, To: tui.Calling})
}

// begun implements user.
func (c *chat) begun(s *session) {
	if s.out && c.answerer.signaling.isDisconnected() {
		c.resources.report.Infof("%s is called once the signaling server is back", sanitize.Text(s.name))
	}
	c.inbox.post(tui.Moved{Peer: s.name, To: tui.Calling})
	c.inbox.post(func() {
		p := c.placing[s.name]
		if p == nil || !s.out {
			return
		}
		delete(c.placing, s.name)
		for _, do := range p.waiting {
			do(s)
		}
	})
}

// failed implements user.
func (c *chat) failed(ctx context.Context, name string, err error) {
	if errors.Is(err, errHungUp) || ctx.Err() != nil {
		err = nil
	} else {
		c.resources.report.Warnf("%s is not called: %v", sanitize.Text(name), err)
		err = &exit.ReportedError{Err: err}
	}
	if name == c.with {
		c.outcome.Store(&callEnded{err})
	}
	c.inbox.post(func() {
		if p := c.placing[name]; p != nil && len(p.waiting) > 0 {
			c.refused.Store(true)
		}
		delete(c.placing, name)
		c.over(name, err)
	})
}

// ended implements user.
func (c *chat) ended(ctx context.Context, s *session, err error) {
	if err != nil && ctx.Err() == nil {
		c.resources.report.Warnf("%v", err)
		err = &exit.ReportedError{Err: err}
	}
	if s.name == c.with {
		c.outcome.Store(&callEnded{err})
	}
	c.inbox.post(func() {
		if c.answerer.calls.get(s.name) == nil && c.placing[s.name] == nil {
			c.over(s.name, err)
		}
	})
}

// over handles the end of a call, and that of the chat if it was for that call.
func (c *chat) over(name string, err error) {
	c.inbox.post(tui.Moved{Peer: name, To: tui.Apart})
	if c.scripted && c.with == name {
		c.inbox.post(func() { c.answerer.stop(&callEnded{err}) })
	}
}

// accept implements user: it asks whether a call is to be answered.
func (c *chat) accept(ctx context.Context, name string) error {
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
	return errDeclined
}

// left implements user.
func (c *chat) left(name string) {
	c.reportRing(name, "gone", sanitize.Text(name)+" has given up")
}

func (c *chat) reportRing(name, state, say string) {
	c.resources.report.Report(event.Event{Name: "ring", Peer: name, Fields: event.Fields("state", state), Message: say})
}

// send offers files in a call that is up.
func (c *chat) send(s *session, paths []string) {
	list, err := transfer.Collect(paths, s.resources.report)
	if err != nil {
		s.resources.report.Warnf("%v", err)
		return
	}
	ch, err := s.call.OpenChannel(s.Context(), datachannel.Options{Label: "files", Protocol: filetransfer.Protocol, Detached: true})
	if err != nil {
		s.resources.report.Warnf("the files are not sent to %s: %v", sanitize.Text(s.name), err)
		return
	}
	if err := transfer.Send(s, ch, list); err != nil {
		s.resources.report.Warnf("%v", err)
	}
}

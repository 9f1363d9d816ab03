package chat

import (
	"context"
	"errors"
	"time"

	"parley/cmd/parley/internal/chat/tui"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/transfer"
	"parley/peer/datachannel"
	"parley/peer/filetransfer"
	"parley/signal"
)

// App is the channel application of a call of a chat: text, and files in any number of
// transfers.
type App struct {
	*transfer.Incoming
	call Call
}

// NewCall returns the channel application of a call.
func (c *Chat) NewCall(call Call) *App { return &App{c.files.NewCall(call), call} }

// Channels returns the channel that the caller opens.
func (a *App) Channels() []datachannel.Options {
	return []datachannel.Options{{Label: a.call.Label()}}
}

// Ready returns a channel that is closed once the call is connected.
func (a *App) Ready() <-chan struct{} { return a.call.Connected() }

// placing is a call to a peer whose sources are being opened.
type placing struct {
	cancel  func()
	waiting []func(Call) // what is done once it has begun
}

// maxWaiting bounds what waits for a call to begin.
const maxWaiting = 1024

// place calls a peer, once it has signed in, for which it waits.
func (c *Chat) place(ctx context.Context, name string, wait time.Duration) {
	err := signal.CheckPeerName(name)
	if name == c.Name {
		err = errors.New("that is you")
	}
	var cancel func()
	if err == nil {
		cancel, err = c.answerer.Call(ctx, name, wait)
	}
	if err != nil {
		c.report.Warnf("%s cannot be called: %v", sanitize.Text(name), err)
		if name == c.With {
			c.outcome.Store(&outcome{&exit.ReportedError{Err: err}})
		}
		return
	}
	c.placing[name] = &placing{cancel: cancel}
	c.inbox.post(tui.Moved{Peer: name, To: tui.Calling})
}

// Begun handles a call that begins.
func (c *Chat) Begun(s Call) {
	if s.IsCaller() && c.answerer.Disconnected() {
		c.report.Infof("%s is called once the signaling server is back", sanitize.Text(s.Peer()))
	}
	c.inbox.post(tui.Moved{Peer: s.Peer(), To: tui.Calling})
	c.inbox.post(func() {
		p := c.placing[s.Peer()]
		if p == nil || !s.IsCaller() {
			return
		}
		delete(c.placing, s.Peer())
		for _, do := range p.waiting {
			do(s)
		}
	})
}

// Failed handles a call to a peer that has not begun. err is nil if it was canceled.
func (c *Chat) Failed(name string, err error) {
	if err != nil {
		c.report.Warnf("%s is not called: %v", sanitize.Text(name), err)
		err = &exit.ReportedError{Err: err}
	}
	if name == c.With {
		c.outcome.Store(&outcome{err})
	}
	c.inbox.post(func() {
		if p := c.placing[name]; p != nil && len(p.waiting) > 0 {
			c.refused.Store(true)
		}
		delete(c.placing, name)
		c.over(name, err)
	})
}

// Ended handles the end of a call.
func (c *Chat) Ended(ctx context.Context, s Call, err error) {
	if err != nil && ctx.Err() == nil {
		c.report.Warnf("%v", err)
		err = &exit.ReportedError{Err: err}
	}
	if s.Peer() == c.With {
		c.outcome.Store(&outcome{err})
	}
	c.inbox.post(func() {
		if c.answerer.Get(s.Peer()) == nil && c.placing[s.Peer()] == nil {
			c.over(s.Peer(), err)
		}
	})
}

// over handles the end of a call, and that of the chat if it was for that call.
func (c *Chat) over(name string, err error) {
	c.inbox.post(tui.Moved{Peer: name, To: tui.Apart})
	if c.scripted && c.With == name {
		c.inbox.post(func() { c.answerer.End(err) })
	}
}

// Accept asks the user whether a call is to be answered. ctx ends when the caller hangs up.
func (c *Chat) Accept(ctx context.Context, name string) (bool, error) {
	if c.AcceptAll {
		return true, nil
	}
	c.reportRing(name, "asked", "")
	yes, err := c.questions.ask(ctx, name, sanitize.Text(name)+" calls")
	switch {
	case err != nil:
		return false, context.Cause(ctx)
	case yes:
		c.reportRing(name, "accepted", "")
	default:
		c.reportRing(name, "declined", "declined the call of "+sanitize.Text(name))
	}
	return yes, nil
}

// Left handles a caller that has hung up before the call was answered.
func (c *Chat) Left(name string) {
	c.reportRing(name, "gone", sanitize.Text(name)+" has given up")
}

func (c *Chat) reportRing(name, state, say string) {
	c.report.Report(event.Event{Name: "ring", Peer: name, Fields: event.Fields("state", state), Message: say})
}

// send offers files in a call that is up.
func (c *Chat) send(s Call, paths []string) {
	list, err := transfer.Collect(paths, c.report)
	if err != nil {
		c.report.Warnf("%v", err)
		return
	}
	ch, err := s.OpenChannel(s.Context(), datachannel.Options{Label: "files", Protocol: filetransfer.Protocol, Detached: true})
	if err != nil {
		c.report.Warnf("the files are not sent to %s: %v", sanitize.Text(s.Peer()), err)
		return
	}
	if err := transfer.Send(s, ch, list); err != nil {
		c.report.Warnf("%v", err)
	}
}

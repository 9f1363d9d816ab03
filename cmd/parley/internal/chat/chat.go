// Package chat runs the conversations of a user with several peers.
package chat

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"parley/cmd/parley/internal/chat/tui"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/cmd/parley/internal/transfer"
	"parley/peer/datachannel"
)

// Answerer makes and answers the calls of a chat. It calls the methods of Chat that follow calls.
type Answerer interface {
	// Run answers calls until Stop or End, or the end of the signaling connection.
	Run(context.Context) error
	// Stop has Run return a cause, and End the error of a call.
	Stop(cause error)
	End(err error)
	// Call calls a peer once it has signed in, within wait, and returns at once. Until the call has
	// begun it can be canceled.
	Call(ctx context.Context, name string, wait time.Duration) (cancel func(), err error)
	// Get returns the call with a peer, nil if there is none.
	Get(name string) Call
	// Disconnected reports whether the signaling server is lost for now.
	Disconnected() bool
}

// Call is a call of a chat.
type Call interface {
	transfer.Call
	OpenChannel(context.Context, datachannel.Options) (*datachannel.Channel, error)
	// IsCaller reports whether this peer has called.
	IsCaller() bool
	// Connected returns a channel that is closed when the call is connected for the first time.
	Connected() <-chan struct{}
	// Label returns the label of the data channel that the caller opens.
	Label() string
	Say(text string)
	// Mute mutes what is sent of a kind, or of all kinds if it is "", or unmutes it.
	Mute(ctx context.Context, kind string, muted bool) error
	// ReportStats reports statistics.
	ReportStats(context.Context) error
}

// Options configure a Chat.
type Options struct {
	Name      string                   // of the user
	With      string                   // peer that is called first, "" for none
	Wait      time.Duration            // for With to sign in
	AcceptAll bool                     // answer calls without asking
	Plain     bool                     // lines in a terminal too
	Linger    time.Duration            // stay after the end of the input
	Files     transfer.ReceiverOptions // Ask is set by New
	In        io.Reader
	Reporter  *event.Reporter // New sets its Intercept
}

// Chat is a person, or a script, with any number of calls: the user of an answerer.
type Chat struct {
	Options
	answerer  Answerer
	report    *event.Reporter
	scripted  bool        // nobody is at the keyboard
	onScreen  atomic.Bool // everything reported goes to a screen
	refused   atomic.Bool // a line was not sent
	files     *transfer.Receiver
	outcome   atomic.Pointer[outcome] // of the latest call with With
	inbox     *inbox
	questions questions
	work      sync.WaitGroup

	// Of the goroutine of loop:
	placing map[string]*placing // calls whose sources are being opened
	state   tui.State
	screen  *tui.Screen     // nil for lines
	muted   <-chan struct{} // closed when the latest mute is over, nil before the first
	lines   chan string     // what is typed, without a screen; closed at its end
}

// outcome is how a call ended.
type outcome struct{ err error }

// New returns a chat whose calls are those of an answerer.
func New(o Options, a Answerer) *Chat {
	c := &Chat{Options: o, answerer: a, report: o.Reporter, inbox: newInbox(), placing: map[string]*placing{}, lines: make(chan string)}
	c.Files.Ask, c.Files.Reporter = c.Ask, o.Reporter
	c.files = transfer.NewReceiver(c.Files)
	in, isFile := o.In.(*os.File)
	c.scripted = !isFile || !stdio.IsTerminal(in)
	c.onScreen.Store(!o.Plain && !c.scripted && !c.report.NDJSON && stdio.IsTerminal(c.report.Out) && os.Getenv("TERM") != "dumb")
	c.state = tui.New(tui.Options{Me: o.Name, Clean: sanitize.Lines, To: o.With, Script: c.scripted})
	c.questions.post = c.inbox.post
	c.report.Intercept = c.intercept
	return c
}

// Ask asks the user a question about a peer, and waits for the answer.
func (c *Chat) Ask(ctx context.Context, peer, question string) (bool, error) {
	return c.questions.ask(ctx, peer, question)
}

// errQuit is the cause of a context that the user ended.
var errQuit = errors.New("the chat is over")

// Run runs the chat until the user ends it, or a script's call with With is over.
func (c *Chat) Run(ctx context.Context) error {
	err := c.answerer.Run(ctx)
	c.screen = nil
	c.takeInbox(context.WithoutCancel(ctx)) // the lines that were not sent, say
	if errors.Is(err, errQuit) {
		return c.verdict()
	}
	if o := c.outcome.Load(); o != nil && errors.Is(o.err, err) {
		return o.err // it is reported, as the end of the call
	}
	return err
}

// Start calls the first peer and begins to read what is typed, once calls can come. ctx ends with
// the answerer, which then calls stop.
func (c *Chat) Start(ctx context.Context) (stop func(), err error) {
	if c.With == "" {
		c.report.Infof("waiting for calls to %s", sanitize.Text(c.Name))
	}
	closeInput, err := c.openInput(ctx)
	if err != nil {
		return nil, err
	}
	c.work.Go(func() {
		if c.With != "" {
			c.place(ctx, c.With, c.Wait)
		}
		c.loop(ctx)
		closeInput()
	})
	return c.work.Wait, nil
}

// verdict returns the error of a chat that a script has ended: that of the call with With, or that
// a line was not sent. A person has seen it.
func (c *Chat) verdict() error {
	if !c.scripted {
		return nil
	}
	if o := c.outcome.Load(); o != nil && o.err != nil {
		return o.err
	}
	if c.refused.Load() {
		return exit.Errorf(exit.Failure, "not all lines were sent; each has its reason above")
	}
	return nil
}

// openInput takes the terminal, or begins to read lines, until stop is called.
func (c *Chat) openInput(ctx context.Context) (stop func(), err error) {
	if c.onScreen.Load() {
		c.screen = tui.Open(c.In, c.report.Out, func(e tui.Event) { c.inbox.post(e) })
		return func() {
			err := c.screen.Close()
			c.onScreen.Store(false)
			if err != nil {
				c.report.Warnf("the screen: %v", err)
			}
		}, nil
	}
	in, stopReading, err := stdio.NewCancelReader(c.In)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "stdin: %w", err)
	}
	c.work.Go(func() { c.read(ctx, in) })
	return stopReading, nil
}

// loop handles one event after the other until ctx is done.
func (c *Chat) loop(ctx context.Context) {
	var screenOver <-chan struct{}
	if c.screen != nil {
		screenOver = c.screen.Done()
	}
	for ctx.Err() == nil {
		if c.screen != nil {
			c.screen.Draw(c.state.View())
		}
		select {
		case <-ctx.Done():
		case <-screenOver:
			c.answerer.Stop(errQuit)
		case <-c.inbox.ready:
			c.takeInbox(ctx)
		case text, ok := <-c.readable():
			c.takeInbox(ctx) // what was reported before the line was typed
			c.typed(ctx, text, ok)
		}
	}
}

func (c *Chat) takeInbox(ctx context.Context) {
	for items := c.inbox.take(); len(items) > 0 && ctx.Err() == nil; items = c.inbox.take() {
		for _, item := range items {
			switch item := item.(type) {
			case tui.Event:
				c.update(ctx, item)
			case func():
				item()
			}
		}
	}
}

// update takes an event, and does what it causes.
func (c *Chat) update(ctx context.Context, e tui.Event) {
	var actions []tui.Action
	c.state, actions = c.state.Update(e)
	for _, a := range actions {
		c.act(ctx, a)
	}
}

// readable is where lines come from, nil while too many wait to be sent.
func (c *Chat) readable() <-chan string {
	if c.state.Full() {
		return nil
	}
	return c.lines
}

func (c *Chat) typed(ctx context.Context, text string, ok bool) {
	if !ok {
		c.lines = nil
		c.update(ctx, tui.InputEnded{})
		return
	}
	c.update(ctx, tui.Entered{Line: text})
}

// maxLine is the longest line that is read, in bytes.
const maxLine = 512 << 10

// read reads lines until the end or ctx is done.
func (c *Chat) read(ctx context.Context, in io.Reader) {
	lines := c.lines
	if err := stdio.EachLine(in, maxLine, func(text []byte, tooLong bool) bool {
		if tooLong {
			c.report.Warnf("a line has more than %d bytes, and was skipped", maxLine)
			return true
		}
		select {
		case lines <- strings.ToValidUTF8(string(text), "\uFFFD"):
			return true
		case <-ctx.Done():
			return false
		}
	}); err != nil && ctx.Err() == nil {
		c.report.Warnf("stdin: %v", err)
	}
	close(lines)
}

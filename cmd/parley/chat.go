package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/answer"
	"parley/cmd/parley/internal/chat/tui"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/cmd/parley/internal/transfer"
	"parley/signal"
)

func chatCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "chat",
		Usage:     "talk by text, with one or several, in a terminal screen",
		ArgsUsage: "[NAME]",
		Description: `Logs in, calls NAME if there is one, and asks about each call that comes. What is
typed goes to the one whose conversation is shown; what begins with a slash is a
command, and /help lists them:

   /call NAME   /accept   /decline   /hangup   /to NAME   /send FILE...
   /mute   /unmute   /stats   /verify [CODE]   /help   /quit

   parley chat --as alice bob           # call bob
   parley chat --as bob                 # wait for calls
   parley chat tab --plain              # lines only, for a screen reader

Without a terminal, and with --plain, it reads lines and prints lines: what others
say to stdout, everything else to stderr. Then it ends once its input has ended and
is sent, or when the call to NAME ends, with the exit code of that, or 1 if the
peer did not take a line, say because it is too long:
   echo 'The build is broken.' | parley chat bob
   parley chat --as log --accept --plain < /dev/tty > log.txt`,
		Flags:        slices.Concat(chatFlags(), config.WaitFlags(), config.MediaOutFlags(), config.SignalingFlags(""), config.NetworkFlags(), config.SecurityFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			c, err := readChat(cmd, std)
			if err != nil {
				return err
			}
			defer c.resources.Report.CloseInto(&err)
			defer func() { _ = c.files.Folder.Close() }() // nothing is buffered in it
			return c.run(ctx)
		},
	}
}

func chatFlags() []cli.Flag {
	return []cli.Flag{
		config.Bool("plain", "lines only, in a terminal too: for screen readers"),
		config.Bool("accept", "take every call without asking"),
		config.String("into", ".", "store files that come, each asked for, in `DIR`"),
		config.Duration("timeout", 45*time.Second, "give a call up after `D` without a connection"),
		config.Duration("linger", 500*time.Millisecond, "without a terminal, stay for `D` after the input has ended"),
		&cli.IntFlag{Name: "max-calls", Usage: "have `N` calls at once, 0 for any number; other callers are rejected as busy", Sources: config.Variable("max-calls")},
	}
}

// chat is a person, or a script, with any number of calls: the user of an answerer.
type chat struct {
	options   *session.Options
	resources *resources.Resources
	answerer  *answer.Answerer
	with      string      // whom to call first, "" for nobody
	scripted  bool        // nobody is at the keyboard
	acceptAll bool        // calls are not asked for
	onScreen  atomic.Bool // everything reported goes to a screen
	refused   atomic.Bool // a line was not sent
	files     *transfer.Receiver
	outcome   atomic.Pointer[answer.CallEnded] // how the latest call with with ended
	inbox     *inbox
	questions questions
	work      sync.WaitGroup

	// Of the goroutine of own:
	placing map[string]*placing // calls whose sources are being opened
	state   tui.State
	screen  *tui.Screen // nil for lines
	lines   chan string // what is typed, without a screen; closed at its end
}

func readChat(cmd *cli.Command, std stdio.Streams) (*chat, error) {
	s, r, err := readSettings(cmd, std)
	if err != nil {
		return nil, err
	}
	if s.Dialect == signal.DialectRelay {
		return nil, exit.Usagef("chat works in the call dialect only: the relay dialect does not name the caller")
	}
	c := &chat{options: s, resources: r, answerer: answer.New(s, r), acceptAll: cmd.Bool("accept"),
		inbox: newInbox(), placing: map[string]*placing{}, lines: make(chan string)}
	c.answerer.User, c.answerer.Timeout = c, 0
	if cmd.Args().Present() {
		if c.with, err = config.Peer(cmd, ""); err != nil {
			return nil, err
		}
	}
	if s.Wait > 0 && c.with == "" {
		return nil, exit.Usagef("--wait needs the NAME to wait for; without one, chat waits for calls")
	}
	if s.Name == "" {
		s.Name = "chat"
		if c.with != "" {
			s.Name = "chat-" + randomHex(3)
		}
	}
	if s.Video == "-" || s.Audio == "-" {
		return nil, exit.Usagef("chat reads stdin itself; give the source as a file")
	}
	folder, into, err := openInto(cmd.String("into"), false)
	if err != nil {
		return nil, err
	}
	c.files = transfer.NewReceiver(transfer.ReceiverOptions{Folder: folder, Into: into, Ask: r.Asker.Ask, Reporter: r.Report})
	c.arrange(cmd.Bool("plain"))
	return c, nil
}

// arrange decides between screen and lines, and has everything reported to the chat.
func (c *chat) arrange(plain bool) {
	s, r := c.options, c.resources
	in, isFile := r.Stdin.(*os.File)
	c.scripted = !isFile || !stdio.IsTerminal(in)
	c.onScreen.Store(!plain && !c.scripted && !r.Report.NDJSON && stdio.IsTerminal(r.Report.Out) && os.Getenv("TERM") != "dumb")
	c.state = tui.New(tui.Options{Me: s.Name, Clean: sanitize.Lines, To: c.with, Script: c.scripted})
	c.questions.post = c.inbox.post
	r.Asker.Instead = c.questions.ask
	s.Attach = append(s.Attach, func(s *session.Session) {
		s.App = &chatting{c.files.NewCall(s), s}
	})
	s.TimeLeft = s.Timeout
	r.Report.Intercept = c.hear
}

// errQuit is the cause of a context that the user ended.
var errQuit = errors.New("the chat is over")

func (c *chat) run(ctx context.Context) error {
	err := c.answerer.Run(ctx)
	c.screen = nil
	c.takeInbox(context.WithoutCancel(ctx)) // the lines that were not sent, say
	if errors.Is(err, errQuit) {
		return c.verdict()
	}
	return err
}

// Start implements user: it calls the first peer, and begins to read what is typed.
func (c *chat) Start(ctx context.Context) (stop func(), err error) {
	if c.with == "" {
		c.resources.Report.Infof("waiting for calls to %s", sanitize.Text(c.options.Name))
	}
	giveBack, err := c.attend(ctx)
	if err != nil {
		return nil, err
	}
	c.work.Go(func() {
		if c.with != "" {
			c.place(ctx, c.with, c.options.Wait)
		}
		c.own(ctx)
		giveBack()
	})
	return c.work.Wait, nil
}

// verdict is what a script learns of a chat that it ended: how the call went, and
// if all its lines did. A person has seen it.
func (c *chat) verdict() error {
	if !c.scripted {
		return nil
	}
	if o := c.outcome.Load(); o != nil && o.Err != nil {
		return o.Err
	}
	if c.refused.Load() {
		return exit.Errorf(exit.Failure, "not all lines were sent; each has its reason above")
	}
	return nil
}

// attend takes the terminal, or begins to read lines, until the function is
// called.
func (c *chat) attend(ctx context.Context) (stop func(), err error) {
	if c.onScreen.Load() {
		c.screen = tui.Open(c.resources.Stdin, c.resources.Report.Out, func(e tui.Event) { c.inbox.post(e) })
		return func() {
			err := c.screen.Close()
			c.onScreen.Store(false)
			if err != nil {
				c.resources.Report.Warnf("the screen: %v", err)
			}
		}, nil
	}
	in, stopReading, err := stdio.NewCancelReader(c.resources.Stdin)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "stdin: %w", err)
	}
	c.work.Go(func() { c.read(ctx, in) })
	return stopReading, nil
}

// own takes one thing after the other until ctx is done.
func (c *chat) own(ctx context.Context) {
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

func (c *chat) takeInbox(ctx context.Context) {
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
func (c *chat) update(ctx context.Context, e tui.Event) {
	var actions []tui.Action
	c.state, actions = c.state.Update(e)
	for _, a := range actions {
		c.act(ctx, a)
	}
}

// readable is where lines come from, nil while too many wait to be sent.
func (c *chat) readable() <-chan string {
	if c.state.Full() {
		return nil
	}
	return c.lines
}

func (c *chat) typed(ctx context.Context, text string, ok bool) {
	if !ok {
		c.lines = nil
		c.update(ctx, tui.InputEnded{})
		return
	}
	c.update(ctx, tui.Entered{Line: text})
}

// read reads lines until the end or ctx is done.
func (c *chat) read(ctx context.Context, in io.Reader) {
	lines := c.lines
	if err := session.EachLine(in, func(text []byte, tooLong bool) bool {
		if tooLong {
			c.resources.Report.Warnf("a line has more than %d bytes, and was skipped", session.MaxCommand)
			return true
		}
		select {
		case lines <- strings.ToValidUTF8(string(text), "\uFFFD"):
			return true
		case <-ctx.Done():
			return false
		}
	}); err != nil && ctx.Err() == nil {
		c.resources.Report.Warnf("stdin: %v", err)
	}
	close(lines)
}

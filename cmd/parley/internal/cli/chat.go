package cli

import (
	"context"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/answer"
	"parley/cmd/parley/internal/chat"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
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
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return runChat(ctx, cmd, std)
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

func runChat(ctx context.Context, cmd *cli.Command, std stdio.Streams) (err error) {
	s, r, err := readOptions(cmd, std)
	if err != nil {
		return err
	}
	defer r.Report.CloseInto(&err)
	if s.Dialect == signal.DialectRelay {
		return exit.Usagef("chat works in the call dialect only: the relay dialect does not name the caller")
	}
	o := chat.Options{AcceptAll: cmd.Bool("accept"), Plain: cmd.Bool("plain"), Wait: s.Wait, Linger: s.Linger, In: r.Stdin, Reporter: r.Report}
	if cmd.Args().Present() {
		if o.With, err = config.Peer(cmd, ""); err != nil {
			return err
		}
	}
	if s.Wait > 0 && o.With == "" {
		return exit.Usagef("--wait needs the NAME to wait for; without one, chat waits for calls")
	}
	if s.Name == "" {
		s.Name = "chat"
		if o.With != "" {
			s.Name = "chat-" + randomHex(3)
		}
	}
	if s.Video == "-" || s.Audio == "-" {
		return exit.Usagef("chat reads stdin itself; give the source as a file")
	}
	o.Name = s.Name
	if o.Files.Folder, o.Files.Into, err = openInto(cmd.String("into"), false); err != nil {
		return err
	}
	defer func() { _ = o.Files.Folder.Close() }() // nothing is buffered in it
	a := answer.New(s, r)
	c := chat.New(o, chatAnswerer{a})
	a.User, a.Timeout = chatUser{c}, 0
	r.Asker.Instead = c.Ask
	s.Attach = append(s.Attach, func(s *session.Session) { s.App = c.NewCall(s) })
	s.TimeLeft = s.Timeout
	return c.Run(ctx)
}

// chatAnswerer is an answerer as a chat uses it.
type chatAnswerer struct{ *answer.Answerer }

func (a chatAnswerer) Stop(cause error)   { a.Answerer.Stop(cause) }
func (a chatAnswerer) End(err error)      { a.Answerer.Stop(&answer.CallEnded{Err: err}) }
func (a chatAnswerer) Disconnected() bool { return a.Signaling.IsDisconnected() }

func (a chatAnswerer) Get(name string) chat.Call {
	if c := a.Calls.Get(name); c != nil {
		return c
	}
	return nil
}

// chatUser is a chat as the user of an answerer.
type chatUser struct{ *chat.Chat }

func (u chatUser) Begun(c *session.Session) { u.Chat.Begun(c) }
func (u chatUser) Ended(ctx context.Context, c *session.Session, err error) {
	u.Chat.Ended(ctx, c, err)
}

package cli

import (
	"context"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/answer"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/pipe"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/signal"
)

func pipeCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "pipe",
		Usage:     "stdin to the data channel, the data channel to stdout",
		ArgsUsage: "[NAME]",
		Description: `Calls NAME, or answers the first call without one, and joins stdin and stdout to
a data channel, as nc does with TCP. Each direction ends by itself: when stdin
ends, the peer reads the end of its input, and may still answer.

   parley pipe --as bob > copy            # here
   parley pipe bob < file                 # there

   tar c folder | parley pipe bob       # with: parley pipe --as bob | tar x
   parley pipe bob --exit-on-eof < file # does not wait for what bob sends
   parley pipe --as log --exec 'tail -f /var/log/syslog'
   parley pipe tab --text               # each line is a message, for a page

TCP connections go over one call, each on a channel of its own. Only who runs
--connect decides what is connected to:

   parley pipe --as office --connect tcp:intranet:80
   parley pipe office --listen tcp:8080          # http://localhost:8080

With several targets, --listen says which one it means; it must be one of them:

   parley pipe office --listen tcp:8080,tcp:intranet:80 \
      --listen tcp:2222,tcp:host:22

The peer can be a page: what it sends by a data channel comes out of stdout,
and an empty binary message is the end of the input.`,
		Flags:        slices.Concat(pipeFlags(), config.WaitFlags(), config.SignalingFlags(""), config.NetworkFlags(), config.ChannelFlags(), config.SecurityFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return runPipe(ctx, cmd, std)
		},
	}
}

func pipeFlags() []cli.Flag {
	return []cli.Flag{
		config.String("exec", "", "run `COMMAND` by the shell for each call and connect it, in place of stdin and stdout"),
		config.Strings("listen", "take TCP connections on `tcp:[HOST:]PORT[,TARGET]` (default HOST: localhost) for a target of the peer; repeatable"),
		config.Strings("connect", "let the peer connect to `tcp:HOST:PORT`; repeatable, the first one is the default"),
		config.Bool("text", "a line is a text message, and a text message a line"),
		config.Bool("exit-on-eof", "end when our input has ended and has arrived at the peer, whatever comes from there"),
		config.Duration("linger", 0, "with --exit-on-eof, wait for `D` more"),
		config.Bool("once", "with --exec or --connect, end after the first call"),
		config.Duration("timeout", 30*time.Second, "give up after `D` without a channel when calling"),
		config.Duration("stats-interval", time.Second, "`D` between stats events, 0 for none but the last"),
	}
}

func runPipe(ctx context.Context, cmd *cli.Command, std stdio.Streams) (err error) {
	s, r, err := readOptions(cmd, std)
	if err != nil {
		return err
	}
	defer r.Report.CloseInto(&err)
	o := pipe.Options{Streams: std, Exec: cmd.String("exec"), Text: cmd.Bool("text"), ExitOnEOF: cmd.Bool("exit-on-eof"), Linger: s.Linger, Channel: s.Channels[0]}
	listen, err := pipe.ParseListen(cmd.StringSlice("listen"))
	if err != nil {
		return err
	}
	targets, err := pipe.ParseTargets(cmd.StringSlice("connect"))
	if err != nil {
		return err
	}
	forwards := len(listen) > 0 || len(targets) > 0
	if err := checkPipe(cmd, o, forwards); err != nil {
		return err
	}
	pipe.SetMemoryLimit(forwards)
	r.Report.Out = std.Out
	if !r.Report.NDJSON || !forwards && o.Exec == "" {
		r.Report.Out = std.Err // stdout is for the data
	}
	closed := pipe.IgnoreClosed()
	defer closed()
	var sockets closers
	defer func() { _ = sockets.close() }()
	var entries []pipe.Entry
	for _, l := range listen {
		listeners, err := sockets.listen(ctx, "--listen", l.Address)
		if err != nil {
			return err
		}
		entries = append(entries, pipe.Entry{Listener: listeners[0], Target: l.Target})
	}
	app := func(c *session.Session) { c.App = pipe.New(c, o) }
	if forwards {
		app = func(c *session.Session) { c.App = pipe.NewForwarder(c, entries, targets) }
	}
	s.Attach = append(s.Attach, app)
	return pipeCalls(ctx, cmd, s, r, len(entries) > 0 || !forwards && o.Exec == "" || cmd.Bool("once"))
}

// checkPipe checks options that exclude each other.
func checkPipe(cmd *cli.Command, o pipe.Options, forwards bool) error {
	switch {
	case o.Exec != "" && forwards:
		return exit.Usagef("--exec does not go with --listen or --connect: run one parley for each")
	case o.Text && forwards:
		return exit.Usagef("--text does not go with --listen or --connect: TCP has bytes, not lines")
	case !o.Text && (cmd.Bool("unordered") || cmd.IsSet("max-retransmits") || cmd.IsSet("max-lifetime")):
		return exit.Usagef("a channel that loses or reorders messages cannot carry bytes; use --text, where each line is a message")
	case len(cmd.StringSlice("channel")) > 1:
		return exit.Usagef("pipe has one --channel, not %d", len(cmd.StringSlice("channel")))
	}
	return nil
}

// pipeCalls calls NAME, or answers.
func pipeCalls(ctx context.Context, cmd *cli.Command, s *session.Options, r *resources.Resources, once bool) error {
	if s.Dialect == signal.DialectRelay || cmd.Args().Present() {
		name, err := config.Peer(cmd, "")
		if err != nil {
			return err
		}
		if s.Name == "" {
			s.Name = "pipe-" + randomHex(3)
		}
		return session.Call(ctx, s, r, name)
	}
	if s.Wait > 0 {
		return exit.Usagef("--wait needs the NAME to wait for; without one, pipe waits for a call")
	}
	if s.Name == "" {
		s.Name = "pipe"
	}
	s.Timeout = 0 // it bounds a call; an answer waits
	a := answer.New(s, r)
	a.Once = once
	return a.Run(ctx)
}

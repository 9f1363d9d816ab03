package cli

import (
	"context"
	"slices"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/answer"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/control"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/processors"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/show"
	"parley/cmd/parley/internal/stdio"
	"parley/signal"
)

func answerCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "answer",
		Usage: "log in and answer calls",
		Description: `Answers every call until it is interrupted, or after the first call with --once.
With --expect it ends as soon as all expectations hold in one call.

   parley answer --as bob --video test --audio test
   parley answer --as bob --once --say hello --record %p.webm
   parley answer --as bob --expect text~^hi --timeout 1m
   parley answer --manual                 # the call of: parley call --manual

In the relay dialect a message does not name its sender: the operand is the peer
to answer; the hello-world page's names are the default:
   parley answer --dialect relay --server ws://localhost:8000 [NAME]`,
		Flags: slices.Concat(config.AnswerFlags(false), config.MediaOutFlags(), config.CallFlags(0),
			config.SignalingFlags(""), config.ManualFlags(), config.SecurityFlags(), config.InputFlags(), config.CaptureFlags(), config.MonitoringFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return answerAs(ctx, cmd, std, ownName("", "", "parley"), false)
		},
	}
}

// answerAs reads the settings of a command that answers.
func answerAs(ctx context.Context, cmd *cli.Command, std stdio.Streams, name string, echo bool) (err error) {
	s, r, err := readOptions(cmd, std)
	if err != nil {
		return err
	}
	defer r.Report.CloseInto(&err)
	if err := readManual(cmd, s, false); err != nil {
		return err
	}
	if cmd.Bool("allow-probe") {
		s.Attach = slices.Insert(s.Attach, 0, control.Allow)
	}
	if s.Name == "" {
		s.Name = ownName(s.Dialect, "Saruman", name)
	}
	a := answer.New(s, r)
	a.Once, a.Echo = cmd.Bool("once") || s.Manual, echo
	if s.Dialect == signal.DialectRelay {
		a.Partner, err = config.Peer(cmd, map[string]string{"Saruman": "Gandalf", "Gandalf": "Saruman"}[s.Name])
	} else if cmd.Args().Present() {
		err = exit.Usagef("%s takes no %q: it answers every caller", cmd.FullName(), sanitize.Text(cmd.Args().First()))
	}
	if err != nil {
		return err
	}
	leave, err := show.Open(s, r)
	if err != nil {
		return err
	}
	defer leave()
	t, err := openTelemetry(cmd, s, r)
	if err != nil {
		return err
	}
	defer t.Close()
	defer processors.Adapt()()
	return a.Run(ctx)
}

func echoCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "echo",
		Usage: "answer all calls, send media and data back",
		Description: `Answers every call and sends back audio and video as they were encoded, and each
message on its channel. It cooperates with its callers: parley probe observes the
call from both ends (--allow-probe=false disables that).

   parley echo
   parley echo --as mirror --server wss://signal.example.org`,
		Flags:        slices.Concat(config.AnswerFlags(true), config.CallFlags(0), config.SignalingFlags(""), config.SecurityFlags(), config.InputFlags(), config.CaptureFlags(), config.MonitoringFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return answerAs(ctx, cmd, std, "echo", true)
		},
	}
}

package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/pipe"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/cmd/parley/internal/transfer"
	"parley/signal"
)

func sendCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "send",
		Usage:     "send files and folders to NAME",
		ArgsUsage: "FILE... NAME",
		Description: `Calls NAME, offers the files, and sends them if they are accepted. The peer is
"parley receive", or a browser tab. Each file is verified there by its SHA-256.
A transfer that breaks is taken up where it was: by itself within --retry, or when
the same command is run again.

   parley receive                       # here
   parley send report.pdf receive       # there

   parley send holiday/ notes.txt tab   # a folder and a file, to a page
   parley send big.iso bob --retry 1h   # bob may go and come back meanwhile

It ends with 0 when all files are there, with 12 if they were not wanted, and with
20 if a file cannot be read.`,
		Flags:        slices.Concat(sendFlags(), config.WaitFlags(), config.SignalingFlags(""), config.NetworkFlags(), config.SecurityFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			s, r, err := readOptions(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			args := cmd.Args().Slice()
			if len(args) < 2 {
				return exit.Usagef("%s needs a file and the name of the peer; see %s --help", cmd.FullName(), cmd.FullName())
			}
			name := args[len(args)-1]
			if err := config.CheckNoURL(cmd, name); err != nil {
				return err
			}
			if err := signal.CheckPeerName(name); err != nil {
				return exit.Usagef("invalid name %q: %v", sanitize.Text(name), err)
			}
			if s.Name == "" {
				s.Name = "sender-" + randomHex(3)
			}
			return sendFiles(ctx, s, r, args[:len(args)-1], name, cmd.Duration("retry"))
		},
	}
}

func sendFlags() []cli.Flag {
	return []cli.Flag{
		config.Duration("timeout", 30*time.Second, "give up after `D` without a connection"),
		config.Duration("retry", time.Minute, "when the call breaks, try for `D` to take it up again; 0 for never"),
	}
}

// sendFiles sends files, in as many calls as it takes.
func sendFiles(ctx context.Context, s *session.Options, r *resources.Resources, paths []string, name string, retry time.Duration) error {
	list, err := transfer.Collect(paths, r.Report)
	if err != nil {
		if _, missing := os.Stat(name); missing == nil && errors.Is(err, fs.ErrNotExist) {
			return exit.Errorf(exit.Device, "%w; the name of the peer comes last, and %s is a file", err, sanitize.Text(name))
		}
		return exit.Errorf(exit.Device, "%w", err)
	}
	pipe.SetMemoryLimit(false)
	sender := transfer.NewSender(list, retry, r.Report)
	s.Attach = append(s.Attach, func(c *session.Session) { c.App = sender.NewCall(c) })
	return sender.Run(ctx, func(ctx context.Context) error {
		defer func() { s.Wait = 0 }() // --retry says how long the peer may be away later
		return session.Call(ctx, s, r, name)
	})
}

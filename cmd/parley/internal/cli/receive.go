package cli

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/answer"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/pipe"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/cmd/parley/internal/transfer"
	"parley/peer/datachannel"
	"parley/peer/filetransfer"
	"parley/signal"
)

func receiveCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "receive",
		Usage: "take files and folders that somebody sends",
		Description: `Answers every call, and takes the files that "parley send", or a browser tab,
offers. It asks at the terminal about each offer; a script says --yes. The path of
each file that came, whole and verified, is printed to stdout.

   parley receive                             # asks, stores in this folder
   parley receive --as inbox --into ~/Downloads --yes --max-size 2GiB
   parley receive --once --yes --from alice   # one transfer, of alice alone

Nothing is written outside the folder, and no file is replaced without --overwrite.
What a broken transfer leaves is NAME.parley-part, and goes on when it is sent again.`,
		Flags:        slices.Concat(receiveFlags(), config.SignalingFlags(""), config.NetworkFlags(), config.SecurityFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			if cmd.Args().Present() {
				return exit.Usagef("%s takes no %q: it answers every caller; --from NAME limits them", cmd.FullName(), sanitize.Text(cmd.Args().First()))
			}
			s, r, err := readOptions(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			if s.Name == "" {
				s.Name = "receive"
			}
			return receiveFiles(ctx, cmd, s, r)
		},
	}
}

// maxUnasked bounds what is taken without asking, unless set otherwise.
const maxUnasked = 10 << 30

func receiveFlags() []cli.Flag {
	return []cli.Flag{
		config.String("into", ".", "store in `DIR`, which is made if it is not there"),
		config.Bool("yes", "take everything without asking", "y"),
		config.Strings("from", "take files of `NAME` alone; repeatable"),
		config.String("max-size", "", "refuse transfers of more than `SIZE`, such as 500M (500,000,000 bytes) or 2GiB (2 × 1024³; default: 10GiB with --yes)"),
		config.Bool("overwrite", "replace files that are there already"),
		config.Bool("once", "end after the first transfer, with its exit code"),
		config.Duration("retry", time.Minute, "with --once, wait for `D` for a transfer that broke to be taken up again"),
		config.Duration("timeout", 0, "give up after `D` without a transfer"),
		&cli.IntFlag{Name: "max-calls", Usage: "take `N` calls at once, 0 for any number; other callers are rejected as busy", Sources: config.Variable("max-calls")},
	}
}

// receiveFiles answers calls and receives the files that are offered in them.
func receiveFiles(ctx context.Context, cmd *cli.Command, s *session.Options, r *resources.Resources) error {
	a := answer.New(s, r)
	o := transfer.ReceiverOptions{
		Yes: cmd.Bool("yes"), Once: cmd.Bool("once"), From: cmd.StringSlice("from"), Retry: cmd.Duration("retry"),
		Ask: r.Asker.Ask, Reporter: r.Report, Stop: func(err error) { a.Stop(&answer.CallEnded{Err: err}) },
	}
	if s.Dialect == signal.DialectRelay {
		return exit.Usagef("receive works in the call dialect only: the relay dialect does not name the caller")
	}
	if o.Yes {
		o.MaxSize = maxUnasked
	} else if err := stdio.WriteTerminal(""); err != nil {
		return exit.Usagef("%v; --yes takes files without asking", err)
	}
	var err error
	if v := cmd.String("max-size"); v != "" {
		if o.MaxSize, err = config.Size(v); err != nil {
			return exit.Usagef("invalid --max-size %q: %v", sanitize.Text(v), err)
		}
	}
	if o.Folder, o.Into, err = openInto(cmd.String("into"), cmd.Bool("overwrite")); err != nil {
		return err
	}
	defer func() { _ = o.Folder.Close() }() // nothing is buffered in it
	pipe.SetMemoryLimit(false)
	files := transfer.NewReceiver(o)
	s.Attach = append(s.Attach, func(c *session.Session) { c.App = files.NewCall(c) })
	a.Admits = files.Admits
	a.Ends = func(c *session.Session, err error) bool { return files.Ends(c.App.(*transfer.Incoming), err) }
	return files.Run(ctx, a.Run)
}

// openInto opens the folder of --into. It returns the prefix of the paths in it, too.
func openInto(dir string, overwrite bool) (*filetransfer.Folder, string, error) {
	folder, err := filetransfer.OpenFolder(dir, overwrite)
	if err != nil {
		return nil, "", exit.Errorf(exit.Device, "--into: %w", err)
	}
	if dir = filepath.Clean(dir); dir == "." {
		return folder, "", nil
	}
	return folder, dir + string(filepath.Separator), nil
}

// refuseFiles refuses files in a call without a channelApp.
func refuseFiles(c *session.Session) {
	c.ServeChannels(func(ch *datachannel.Channel) bool {
		if c.App == nil && ch.OpenedByPeer() {
			transfer.Refuse(c, ch)
		}
		return false
	})
}

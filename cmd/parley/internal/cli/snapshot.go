package cli

import (
	"context"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/snapshot"
	"parley/cmd/parley/internal/stdio"
	"parley/signal"
)

func snapshotCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "snapshot",
		Usage:     "save one frame of NAME",
		ArgsUsage: "NAME|URL FILE",
		Description: `Calls NAME, saves one frame of what NAME sends, and hangs up. FILE ends with .png
or .jpg; - is a PNG on standard output.

   parley snapshot tab door.png
   parley snapshot tab - | imv -
   parley snapshot tab door.jpg --after 3s --timeout 10s
   parley snapshot wheps://live.example.org/whep/cam frame.png

The exit code is 0 if there is a frame, 4 if none came in time, 12 if
NAME is not there, 20 if FILE cannot be written or nothing decodes what came.`,
		Flags: slices.Concat(config.SignalingFlags(""), config.WaitFlags(), config.WHIPFlags(), []cli.Flag{
			config.Duration("after", time.Second, "save the frame `D` after the first one: the first ones of a call are coarse"),
		}, slices.DeleteFunc(config.CallFlags(30*time.Second), func(f cli.Flag) bool {
			return slices.Contains([]string{"say", "expect", "record", "record-split", "show", "duration", "linger", "stats-interval"}, f.Names()[0])
		}), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			args := cmd.Args().Slice()
			if len(args) != 2 {
				return exit.Usagef("snapshot takes a name and a file; see %s --help", cmd.FullName())
			}
			s, r, err := readOptions(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			name := args[0]
			if s.WHIP, err = config.ReadWHIP(cmd, name, false); err != nil {
				return err
			}
			if s.Endpoint != nil {
				name, s.Server = s.WHIP.URL, s.Endpoint.URL.String()
			} else if err := signal.CheckPeerName(name); err != nil {
				return exit.Usagef("invalid name %q: %v", sanitize.Text(name), err)
			}
			if s.Name == "" {
				s.Name = ownName(s.Dialect, "Gandalf", "caller-"+randomHex(3))
			}
			return snapshot.Run(ctx, snapshot.Options{Call: s, Resources: r, Out: std.Out, Peer: name, Path: args[1], After: cmd.Duration("after")})
		},
	}
}

package cli

import (
	"context"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/demo"
	"parley/cmd/parley/internal/stdio"
)

func demoCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "show a whole call on this machine, without devices",
		Description: `Starts a signaling server and an echo on a free port, calls the echo with test
video, a tone and a line of text, and reports what came back. The page it names
joins from a browser. It goes on until it is interrupted; with --for it ends by
itself, with 0 if everything came back.

   parley demo
   parley demo --for 5s`,
		Flags: append([]cli.Flag{
			config.Duration("for", 0, "end after `D` of call, or when everything has come back if that is later, with a verdict"),
			config.Duration("timeout", 30*time.Second, "time `D` for everything to come back"),
		}, config.OutputFlags()...),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			r, err := readOutput(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			return demo.Run(ctx, r, cmd.Duration("for"), cmd.Duration("timeout"))
		},
	}
}

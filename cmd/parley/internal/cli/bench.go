package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/bench"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/pipe"
	"parley/cmd/parley/internal/stdio"
)

func benchCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure call set-up, data and encoders on this machine",
		Description: `Two peers in this process call each other over this machine's own network, so both ends' work is
in the numbers; nothing of it needs a server.

   parley bench
   parley bench --for 10s --output ndjson`,
		Flags: append([]cli.Flag{
			config.Duration("for", 2*time.Second, "send data for `D`, and encode for D with each encoder"),
			&cli.IntFlag{Name: "calls", Value: 20, Usage: "set up `N` calls, 1 to 1000", Sources: config.Variable("calls")},
		}, config.OutputFlags()...),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			r, err := readOutput(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			o := bench.Options{Calls: cmd.Int("calls"), Length: cmd.Duration("for"), Logger: r.Logger}
			switch {
			case o.Calls < 1 || o.Calls > 1000:
				return exit.Usagef("invalid --calls %d: want 1 to 1000", o.Calls)
			case o.Length < 100*time.Millisecond || o.Length > 10*time.Minute:
				return exit.Usagef("invalid --for %v: want 100ms to 10m", o.Length)
			}
			pipe.SetMemoryLimit(false)
			return exit.OrInterruption(ctx, bench.Run(ctx, o, func(b bench.Result) { reportBenchmark(r.Report, b) }))
		},
	}
}

// reportBenchmark reports a result of bench.
func reportBenchmark(r *event.Reporter, b bench.Result) {
	rounded := float64(int64(b.Value*1000+0.5)) / 1000
	r.Report(event.Event{
		Name: "benchmark", Fields: event.Fields("name", b.Name, "value", rounded, "unit", b.Unit),
		Output: fmt.Sprintf("%-16s %9.2f %-10s  %s", b.Name, b.Value, b.Unit, b.Description),
	})
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
	"parley/media/device"
)

func benchCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure what this machine can do: call set-up, round trip, data, encoders",
		Description: `Two peers in this process call each other over this machine's own network, so both ends' work is
in the numbers; nothing of it needs a server.

   parley bench
   parley bench --for 10s --output ndjson`,
		Flags: append([]cli.Flag{
			durationFlag("for", 2*time.Second, "how long to send data, and to encode with each encoder"),
			&cli.IntFlag{Name: "calls", Value: 20, Usage: "set up `N` calls, 1 to 1000", Sources: variable("calls")},
		}, outputFlags()...),
		OnUsageError: usageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			b := &bench{settings: &settings{}, calls: cmd.Int("calls"), length: cmd.Duration("for")}
			if err := b.readOutput(cmd, std); err != nil {
				return err
			}
			defer b.report.CloseInto(&err)
			switch {
			case b.calls < 1 || b.calls > 1000:
				return exit.Usagef("--calls %d: it is 1 to 1000", b.calls)
			case b.length < 100*time.Millisecond || b.length > 10*time.Minute:
				return exit.Usagef("--for %v: it is 100ms to 10m", b.length)
			}
			return b.run(ctx)
		},
	}
}

// bench measures one thing after the other.
type bench struct {
	*settings
	calls  int
	length time.Duration
}

func (b *bench) run(ctx context.Context) error {
	tuneForBulk()
	if err := b.setUp(ctx); err != nil {
		return b.ended(ctx, err)
	}
	if err := b.data(ctx); err != nil {
		return b.ended(ctx, err)
	}
	for _, codec := range device.Codecs() {
		if !strings.HasPrefix(codec, "video/") {
			continue
		}
		if err := b.encode(ctx, codec); err != nil {
			return b.ended(ctx, err)
		}
	}
	return nil
}

// ended prefers the signal that ended it all to what came of it.
func (b *bench) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// tell tells a result: a number for machines, and a row for people.
func (b *bench) tell(name string, value float64, unit, what string) {
	b.report.Report(event.Event{
		Name:   "measure",
		Fields: event.Fields("name", name, "value", rounded(value), "unit", unit),
		Output: fmt.Sprintf("%-16s %9.2f %-10s  %s", name, value, unit, what),
	})
}

func rounded(v float64) float64 { return float64(int64(v*1000+0.5)) / 1000 }

// percentile is the one of sorted durations below which p of 1 lie, in ms.
func percentile(sorted []time.Duration, p float64) float64 {
	i := min(int(p*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Microseconds()) / 1000
}

// setUp measures from the wish to call to a channel that is open at both ends.
func (b *bench) setUp(ctx context.Context) error {
	var took []time.Duration
	for range b.calls + 1 {
		pair, err := newBenchPair(ctx, b.logger)
		if err != nil {
			return err
		}
		took = append(took, pair.took)
		pair.close()
	}
	took = took[1:] // the first one warms up
	slices.Sort(took)
	what := fmt.Sprintf("from the call to a channel that is open at both ends; %d calls", len(took))
	b.tell("setup.median", percentile(took, 0.5), "ms", what)
	b.tell("setup.p95", percentile(took, 0.95), "ms", what)
	return nil
}

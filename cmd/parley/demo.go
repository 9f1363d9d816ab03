package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/serve"
	"parley/cmd/parley/internal/stdio"
	"parley/media/device"
	"parley/signal"
	"parley/signal/server"
	"parley/signal/web"
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
			d := &demo{settings: &settings{recordings: newRecordings(), devices: &device.Shared{}}}
			if err := d.readOutput(cmd, std); err != nil {
				return err
			}
			defer d.report.CloseInto(&err)
			d.minDuration, d.Timeout = cmd.Duration("for"), cmd.Duration("timeout")
			if d.minDuration <= 0 {
				d.minDuration = math.MaxInt64
			}
			return d.run(ctx)
		},
	}
}

// demo is a server, an echo and a caller in one process.
type demo struct {
	*settings
	work sync.WaitGroup
}

const demoText = "hello from the terminal"

// demoChecks are what has to come back.
func demoChecks() []string {
	return []string{"connected", "text=" + demoText, "track.video", "video.size=320x240", "video.frames>=15", "audio.tone=440"}
}

func (d *demo) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer d.work.Wait()
	defer stop(nil)
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("failed to listen on this machine: %w", err)
	}
	// The server and the echo outlive the call, which hangs up through them.
	beside, end := context.WithCancel(context.Background())
	defer end()
	server := server.New(&server.Options{Pages: web.Handler(web.AutoLoopback), Logger: d.logger})
	d.work.Go(func() {
		if err := server.Run(beside, l); err != nil {
			stop(err)
		}
	})
	d.Server, d.Dialect = "ws://"+serve.LocalAddress(l.Addr()), signal.DialectCall
	d.report.Infof("signaling on %s", d.Server)
	if err := d.startEcho(beside, stop); err != nil {
		return err
	}
	return d.call(ctx, l.Addr())
}

// startEcho runs an echo, and returns once it can be called.
func (d *demo) startEcho(ctx context.Context, failed context.CancelCauseFunc) error {
	s := &settings{
		Signaling: config.Signaling{Server: d.Server, Dialect: d.Dialect, Name: "echo"},
		logger:    d.logger, recordings: d.recordings,
		report: event.NewReporter(event.Options{Out: io.Discard, Err: io.Discard}),
	}
	ready := make(chan struct{})
	echo := newAnswerer(s)
	echo.echo, echo.ready = true, func() { close(ready) }
	gone := make(chan error, 1)
	d.work.Go(func() {
		err := echo.run(ctx)
		gone <- err
		if ctx.Err() == nil {
			failed(err)
		}
	})
	select {
	case <-ready:
		return nil
	case err := <-gone:
		return fmt.Errorf("the echo did not start: %w", err)
	}
}

// call calls the echo, and reports what came back.
func (d *demo) call(ctx context.Context, at net.Addr) error {
	d.Name, d.Video, d.Audio, d.Say = "demo", "test", "test", []string{demoText}
	d.StatsInterval = time.Second
	var err error
	if d.Checks, err = config.Checks(demoChecks(), expectKeys()); err != nil {
		return err
	}
	d.report.Infof("join with a browser: http://%s/?as=you&call=echo", serve.LocalAddress(at))
	err = call(ctx, d.settings, "echo")
	d.tellVerdict(err)
	return err
}

func (d *demo) tellVerdict(err error) {
	n := len(d.Checks)
	verdict := fmt.Sprintf("all well: audio, video and text came back (%d of %d checks held)", n, n)
	switch {
	case errors.As(err, new(*exit.ReportedError)):
		verdict = "interrupted"
	case err != nil:
		verdict = "not well: " + sanitize.Text(err.Error())
	}
	d.report.Report(event.Event{Name: "verdict", Fields: event.Fields("ok", err == nil), Output: verdict})
}

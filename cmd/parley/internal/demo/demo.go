// Package demo shows a whole call on this machine.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"parley/cmd/parley/internal/admin"
	"parley/cmd/parley/internal/answer"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/signal"
	"parley/signal/server"
	"parley/signal/web"
)

// demo is a server, an echo and a caller in one process.
type demo struct {
	options   *session.Options
	resources *resources.Resources
	work      sync.WaitGroup
}

// text is what the demo says.
const text = "hello from the terminal"

// checks are what has to come back.
func checks() []string {
	return []string{"connected", "text=" + text, "track.video", "video.size=320x240", "video.frames>=15", "audio.tone=440"}
}

// Run shows a call for minDuration, or until ctx is done if that is 0. Everything has to come back
// within timeout.
func Run(ctx context.Context, r *resources.Resources, minDuration, timeout time.Duration) error {
	d := &demo{options: &session.Options{}, resources: r}
	d.options.MinDuration, d.options.Timeout = minDuration, timeout
	if minDuration <= 0 {
		d.options.MinDuration = math.MaxInt64
	}
	return d.run(ctx)
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
	server := server.New(&server.Options{Pages: web.Handler(web.AutoLoopback), Logger: d.resources.Logger})
	d.work.Go(func() {
		if err := server.Run(beside, l); err != nil {
			stop(err)
		}
	})
	d.options.Server, d.options.Dialect = "ws://"+admin.LocalAddress(l.Addr()), signal.DialectCall
	d.resources.Report.Infof("signaling on %s", d.options.Server)
	if err := d.startEcho(beside, stop); err != nil {
		return err
	}
	return d.call(ctx, l.Addr())
}

// startEcho runs an echo, and returns once it can be called.
func (d *demo) startEcho(ctx context.Context, failed context.CancelCauseFunc) error {
	ready := make(chan struct{})
	echo := answer.New(&session.Options{Signaling: config.Signaling{Server: d.options.Server, Dialect: d.options.Dialect, Name: "echo"}},
		resources.New(event.NewReporter(event.Options{Out: io.Discard, Err: io.Discard}), d.resources.Logger, nil))
	echo.Echo, echo.Ready = true, func() { close(ready) }
	gone := make(chan error, 1)
	d.work.Go(func() {
		err := echo.Run(ctx)
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
	d.options.Name, d.options.Video, d.options.Audio, d.options.Say = "demo", "test", "test", []string{text}
	d.options.StatsInterval = time.Second
	var err error
	if d.options.Checks, err = config.Checks(checks(), mediain.Keys()); err != nil {
		return err
	}
	d.resources.Report.Infof("join with a browser: http://%s/?as=you&call=echo", admin.LocalAddress(at))
	err = session.Call(ctx, d.options, d.resources, "echo")
	d.reportVerdict(err)
	return err
}

func (d *demo) reportVerdict(err error) {
	n := len(d.options.Checks)
	verdict := fmt.Sprintf("all well: audio, video and text came back (%d of %d checks held)", n, n)
	switch {
	case errors.As(err, new(*exit.ReportedError)):
		verdict = "interrupted"
	case err != nil:
		verdict = "not well: " + sanitize.Text(err.Error())
	}
	d.resources.Report.Report(event.Event{Name: "verdict", Fields: event.Fields("ok", err == nil), Output: verdict})
}

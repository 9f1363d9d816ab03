//go:build !quick

package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

// TestFiftyCallsAtOnce: one echo has fifty callers, each of which hears what it
// said and nobody else's; one more gets the answer that it is busy. It reports what a
// call costs. make bench-calls sends audio and video as well.
func TestFiftyCallsAtOnce(t *testing.T) {
	const calls = 50
	withMedia := os.Getenv("PARLEY_BENCH_MEDIA") != ""
	// Fifty at one moment are more than a connection may answer by default.
	_, server := e2etest.Serve(t, "--offer-rate", "1000/1000", "--candidate-rate", "10000/10000", "--other-rate", "1000/1000")
	echo := e2etest.Start(t, "echo", "--server", server, "--max-calls", fmt.Sprint(calls))
	echo.Says(t, "waiting for calls")
	idle := e2etest.UsageOf(t, echo)
	var callers []*inProcess
	for i := range calls {
		name := fmt.Sprintf("caller-%02d", i)
		args := []string{"parley", "call", "echo", "--as", name, "--server", server, "--say", "from " + name,
			"--expect", "text=from " + name, "--linger", "10m", "--timeout", "5m", "--stats-interval", "0"}
		if withMedia {
			args = append(args, "--audio", "test", "--video", "test", "--expect", "video.frames>=15", "--expect", "audio.packets>=50")
		}
		callers = append(callers, startInProcess(t, args))
	}
	for i, c := range callers {
		if err := c.Until("held: text=from caller-" + fmt.Sprintf("%02d", i)); err != nil {
			t.Fatal(err)
		}
	}
	up := e2etest.UsageOf(t, echo)
	t.Logf("%d calls at once in one process: %d kB of memory and %s of CPU to set up for each", calls,
		(up.Memory-idle.Memory)/calls/1024, ((up.CPU - idle.CPU) / calls).Round(100*time.Microsecond))
	if withMedia {
		for _, c := range callers {
			c.Says(t, "held: video.frames")
			c.Says(t, "held: audio.packets")
		}
		before := e2etest.UsageOf(t, echo)
		time.Sleep(10 * time.Second) // to measure; nothing waits for it
		now := e2etest.UsageOf(t, echo)
		t.Logf("with audio and video, sent back to each: %d kB of memory and %.2f %% of a core for each", (now.Memory-idle.Memory)/calls/1024,
			100*(now.CPU-before.CPU).Seconds()/now.At.Sub(before.At).Seconds()/calls)
	}
	late := e2etest.Start(t, "call", "echo", "--server", server)
	late.Says(t, "echo said no, or is busy")
	late.Ends(t, int(exit.Absent))
	e2etest.Interrupt(t, echo)
	for i, c := range callers {
		<-c.Exited
		if c.code != exit.OK {
			t.Errorf("caller %d: exit code %d\n%s", i, c.code, c.Err)
		}
		for j := range callers {
			if other := fmt.Sprintf("echo: from caller-%02d", j); j != i && strings.Contains(c.Out.String(), other) {
				t.Errorf("caller %d heard %q", i, other)
			}
		}
	}
}

// inProcess is a parley that runs in this process.
type inProcess struct {
	*e2etest.Process
	code exit.Code // once exited
}

func startInProcess(t *testing.T, args []string) *inProcess {
	t.Helper()
	p := &inProcess{Process: &e2etest.Process{Out: e2etest.NewOutput(), Err: e2etest.NewOutput(), Exited: make(chan struct{})}}
	var work sync.WaitGroup
	work.Go(func() {
		defer close(p.Exited)
		p.code = cli.Run(t.Context(), stdio.Streams{In: strings.NewReader(""), Out: p.Out, Err: p.Err}, args)
	})
	t.Cleanup(work.Wait)
	return p
}

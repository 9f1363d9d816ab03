package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

// TestFiftyCallsAtOnce: one echo has fifty callers, each of which hears what it
// said and nobody else's; one more gets the answer that it is busy. It reports what a
// call costs. make bench-calls sends sound and a picture as well.
func TestFiftyCallsAtOnce(t *testing.T) {
	const calls = 50
	withMedia := os.Getenv("PARLEY_BENCH_MEDIA") != ""
	// Fifty at one moment are more than a connection may answer by default.
	_, server := serving(t, "--offer-rate", "1000/1000", "--candidate-rate", "10000/10000", "--other-rate", "1000/1000")
	echo := terminal(t, "echo", "--server", server, "--max-calls", fmt.Sprint(calls))
	echo.says(t, "waiting for calls")
	idle := usageOf(t, echo)
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
		if err := c.until("held: text=from caller-" + fmt.Sprintf("%02d", i)); err != nil {
			t.Fatal(err)
		}
	}
	up := usageOf(t, echo)
	t.Logf("%d calls at once in one process: %d kB of memory and %s of CPU to set up for each", calls,
		(up.memory-idle.memory)/calls/1024, ((up.cpu - idle.cpu) / calls).Round(100*time.Microsecond))
	if withMedia {
		for _, c := range callers {
			c.says(t, "held: video.frames")
			c.says(t, "held: audio.packets")
		}
		before := usageOf(t, echo)
		time.Sleep(10 * time.Second) // to measure; nothing waits for it
		now := usageOf(t, echo)
		t.Logf("with sound and a picture, sent back to each: %d kB of memory and %.2f %% of a core for each", (now.memory-idle.memory)/calls/1024,
			100*(now.cpu-before.cpu).Seconds()/now.at.Sub(before.at).Seconds()/calls)
	}
	late := terminal(t, "call", "echo", "--server", server)
	late.says(t, "echo said no, or is busy")
	late.ends(t, int(exit.Absent))
	interruptProcess(t, echo)
	for i, c := range callers {
		<-c.exited
		if c.code != exit.OK {
			t.Errorf("caller %d: exit code %d\n%s", i, c.code, c.err)
		}
		for j := range callers {
			if other := fmt.Sprintf("echo: from caller-%02d", j); j != i && strings.Contains(c.out.String(), other) {
				t.Errorf("caller %d heard %q", i, other)
			}
		}
	}
}

// inProcess is a parley that runs in this process.
type inProcess struct {
	*process
	code exit.Code // once exited
}

func startInProcess(t *testing.T, args []string) *inProcess {
	t.Helper()
	p := &inProcess{process: &process{out: newWatched(), err: newWatched(), exited: make(chan struct{})}}
	var work sync.WaitGroup
	work.Go(func() {
		defer close(p.exited)
		p.code = run(t.Context(), stdio.Streams{In: strings.NewReader(""), Out: p.out, Err: p.err}, args)
	})
	t.Cleanup(work.Wait)
	return p
}

// usage is what a process has used so far.
type usage struct {
	at     time.Time
	cpu    time.Duration
	memory int // bytes, resident
}

// usageOf reads it where there is /proc; elsewhere it is nothing.
func usageOf(t *testing.T, p *process) usage {
	t.Helper()
	u := usage{at: time.Now()}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return u
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may have spaces
	fields := strings.Fields(rest)
	number := func(i int) int { // as in proc(5), where the state is the third
		n, err := strconv.Atoi(fields[i-3])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	u.cpu = time.Duration(number(14)+number(15)) * tick
	u.memory = number(24) * os.Getpagesize()
	return u
}

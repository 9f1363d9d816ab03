//go:build !quick && bench

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestBenchAudioCalls measures the CPU time of a process that answers 50 calls with audio and only
// counts what it receives. With PARLEY_BASELINE, the path of another binary of parley, it measures
// that one in turns with this one, and fails if this one takes more than a third of it. This
// process sends.
func TestBenchAudioCalls(t *testing.T) {
	const rounds = 3
	ours, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	_, server := e2etest.Serve(t, "--offer-rate", "1000/1000", "--candidate-rate", "10000/10000", "--other-rate", "1000/1000")
	paths := map[string]string{"parley": ours}
	order := []string{"parley"}
	if baseline := os.Getenv("PARLEY_BASELINE"); baseline != "" {
		paths["baseline"] = baseline
		order = []string{"baseline", "parley"}
	}
	fmt.Println("| round | " + strings.Join(order, " | ") + " | sender |\n|---|" + strings.Repeat("---:|", len(order)+1))
	sums := map[string]float64{}
	for round := range rounds {
		row := fmt.Sprintf("| %d |", round+1)
		var sender float64
		for _, name := range order {
			measured := t.Run(name, func(t *testing.T) { // whose processes end with it
				used, sent, _ := benchAudioCalls(t, server, paths[name], 50)
				sums[name] += used / rounds
				sender = max(sender, sent)
				row += fmt.Sprintf(" %.0f |", used)
			})
			if !measured {
				return
			}
		}
		fmt.Printf("%s %.0f |\n", row, sender)
	}
	row := "| mean |"
	for _, name := range order {
		row += fmt.Sprintf(" %.0f |", sums[name])
	}
	fmt.Println(row + " |")
	if len(order) > 1 {
		ratio := sums["parley"] / sums["baseline"]
		fmt.Printf("| parley / baseline | %.3f | | |\n", ratio)
		if ratio > 1.0/3 {
			t.Errorf("receiving takes %.3f of the baseline, want a third at most", ratio)
		}
	}
}

// TestBenchGrowthOfCalls measures a process that answers 1 to 200 calls with audio.
func TestBenchGrowthOfCalls(t *testing.T) {
	ours, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	_, server := e2etest.Serve(t, "--limits", "off") // among them 128 calls of a user
	fmt.Println("<!-- bench-growth -->\n| calls with audio in one process | ms of CPU per second | of a call | MiB |\n|---:|---:|---:|---:|")
	for _, n := range []int{1, 10, 50, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { // whose processes end with it
			used, _, memory := benchAudioCalls(t, server, ours, n)
			fmt.Printf("| %d | %.0f | %.1f | %d |\n", n, used, used/float64(n), memory>>20)
		})
	}
}

// benchAudioCalls returns the CPU time that the receiver and the sender of calls take, in ms per
// second, and the bytes of memory of the receiver.
func benchAudioCalls(t *testing.T, server, path string, calls int) (receiver, sender float64, memory int) {
	const settle, measured, atOnce = 3 * time.Second, 10 * time.Second, 10
	args := []string{"answer", "--as", "counter", "--server", server}
	answerer := e2etest.Launch(t, exec.Command(path, args...), args)
	answerer.Says(t, "waiting for calls")
	song := filepath.Join(t.TempDir(), "song.ogg") // encoded once, not by each call
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=10", "-c:a", "libopus", song).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v (install ffmpeg)\n%s", err, out)
	}
	for i := range calls {
		startInProcess(t, []string{"parley", "call", "counter", "--as", fmt.Sprintf("caller-%03d", i), "--server", server,
			"--audio", song, "--loop", "--stats-interval", "0"})
		if (i+1)%atOnce == 0 || i+1 == calls {
			awaitAudio(t, answerer, i+1)
		}
	}
	connected := time.Now()
	time.Sleep(settle) // until the calls are as they stay
	us := &e2etest.Process{Cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	before, sentBefore := e2etest.UsageOf(t, answerer), e2etest.UsageOf(t, us)
	time.Sleep(measured)
	now, sentNow := e2etest.UsageOf(t, answerer), e2etest.UsageOf(t, us)
	least := int(time.Since(connected).Seconds() * 50 * 0.98) // packets of 20 ms
	e2etest.Interrupt(t, answerer)
	received := regexp.MustCompile(`(\d+) packets, 0 lost`).FindAllStringSubmatch(answerer.Out.String(), -1)
	if len(received) != calls {
		t.Errorf("%d of %d calls lost nothing", len(received), calls)
	}
	for _, r := range received {
		if n, err := strconv.Atoi(r[1]); n < least || err != nil {
			t.Errorf("a call received %s packets, want %d: the machine is too busy for this", r[1], least)
		}
	}
	perSecond := func(before, now e2etest.Usage) float64 {
		return 1000 * (now.CPU - before.CPU).Seconds() / now.At.Sub(before.At).Seconds()
	}
	return perSecond(before, now), perSecond(sentBefore, sentNow), now.Memory
}

// awaitAudio waits until an answerer receives audio in so many calls.
func awaitAudio(t *testing.T, answerer *e2etest.Process, calls int) {
	t.Helper()
	late := time.After(e2etest.Patience)
	for {
		more := answerer.Err.Change()
		received := strings.Count(answerer.Err.String(), "receiving audio")
		if received >= calls {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("audio received in %d calls, want %d", received, calls)
		}
	}
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/rtpdump"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
	"parley/signal/signaltest/deployment"
)

const (
	// rollingCalls are the calls of make test, fullRollingCalls those of make cluster-calls.
	rollingCalls     = 4
	fullRollingCalls = 50
)

// TestRollingRestart restarts all nodes, one after the other, during video calls across them. No
// call has a gap in its media, and each can be changed afterwards in both directions: ICE is
// restarted by the caller, and the answerer adds audio.
//
// A busy machine has gaps of its own. So a time without restarts comes first, and gaps must not be
// more frequent with restarts than without.
func TestRollingRestart(t *testing.T) {
	calls, drain, control, mediaGap := rollingCalls, time.Second, 3*time.Second, 500*time.Millisecond
	if os.Getenv("PARLEY_ROLLING") == "full" {
		calls, drain, control, mediaGap = fullRollingCalls, 5*time.Second, 20*time.Second, 300*time.Millisecond
	}
	d := start(t, "--limits", "off", "--drain", drain.String())
	dir := t.TempDir()
	film, music := filepath.Join(dir, "film.ivf"), filepath.Join(dir, "music.ogg")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=4", "-f", "lavfi", "-i", "sine=duration=4",
		"-map", "0", "-c:v", "libvpx", "-g", "25", "-b:v", "60k", "-deadline", "realtime", film, "-map", "1", "-c:a", "libopus", music).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v (install ffmpeg)\n%s", err, out)
	}
	var callers, answerers []*inProcess
	for i := range calls { // two connections in a row are at two nodes
		media := func(name string) []string {
			return []string{"--server", d.Server, "--as", name, "--video", film, "--loop", "--rtpdump", filepath.Join(dir, name),
				"--stats-interval", "0", "--input", "ndjson", "--output", "ndjson"}
		}
		answerer := startInProcess(t, append([]string{"parley", "answer", "--once"}, media(fmt.Sprint("callee-", i))...))
		answerer.Says(t, `"event":"login".*"success":true`)
		caller := startInProcess(t, append([]string{"parley", "call", fmt.Sprint("callee-", i)}, media(fmt.Sprint("caller-", i))...))
		caller.Says(t, `"event":"state".*"connection":"connected"`)
		callers, answerers = append(callers, caller), append(answerers, answerer)
	}
	all := slices.Concat(callers, answerers)
	for _, n := range d.Nodes {
		if received := metric(t, n, "signaling_cluster_messages_received_total"); received == 0 {
			t.Errorf("%s has received no messages of other nodes", n.Name)
		}
	}
	moments := []time.Time{time.Now()}
	time.Sleep(control) // to measure; nothing waits for it
	moments = append(moments, time.Now())
	for _, n := range d.Nodes {
		restart(t, n, drain)
		signedIn(t, d, func() int { return len(all) })
	}
	moments = append(moments, time.Now())
	for i := range calls {
		if err := errors.Join(callers[i].do(`"command":"restart-ice"`), answerers[i].do(fmt.Sprintf(`"command":"add","kind":"audio","source":%q`, music))); err != nil {
			t.Errorf("call %d cannot be changed after the restart: %v", i, err)
		}
		if err := callers[i].Until(`"event":"track".*"kind":"audio".*"direction":"in"`); err != nil {
			t.Errorf("caller %d has no audio: %v", i, err)
		}
	}
	moments = append(moments, time.Now())
	for _, c := range callers {
		if err := c.do(`"command":"hangup"`); err != nil {
			t.Error(err)
		}
	}
	for _, p := range all {
		select {
		case <-p.Exited:
		case <-time.After(e2etest.Patience):
			t.Fatalf("%s does not end", p.name)
		}
	}
	usual := 0.0 // gaps a second
	for i, what := range []string{"without restarts", "with restarts of all nodes", "with changes of all calls"} {
		from, to := moments[i], moments[i+1]
		packets, gaps, longest := 0, 0, time.Duration(0)
		for _, p := range all {
			n, g, l, err := gapsOf(filepath.Join(dir, p.name), from, to, mediaGap)
			if err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			packets, gaps, longest = packets+n, gaps+g, max(longest, l)
		}
		took := to.Sub(from)
		t.Logf("%d calls, %s %s: %d packets of video, %d gaps of more than %s, the longest of %s", calls, took.Round(time.Second), what, packets, gaps, mediaGap, longest.Round(time.Millisecond))
		if i == 0 {
			usual = float64(gaps) / took.Seconds()
		}
		expected := usual * took.Seconds()
		if limit := 2*expected + 3*math.Sqrt(expected); i == 1 && float64(gaps) > limit { // three standard deviations
			t.Errorf("%s: %d gaps, want at most %.0f", what, gaps, limit)
		}
	}
}

// restart ends a node as an operator does, and starts it again.
func restart(t *testing.T, n *deployment.Node, drain time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), drain+e2etest.Patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// signedIn waits until all users are signed in, at any node.
func signedIn(t *testing.T, d *deployment.Deployment, users func() int) {
	t.Helper()
	for deadline := time.Now().Add(e2etest.Patience); ; time.Sleep(50 * time.Millisecond) { // between two looks
		names := 0.0
		for _, n := range d.Nodes {
			names += metric(t, n, "signaling_names")
		}
		want := users()
		if int(names) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v users are signed in, want %d", names, want)
		}
	}
}

// gapsOf reads a dump. It returns the number of packets of video between two moments, the times
// longer than gap in which none came, and the longest time without one.
func gapsOf(path string, from, to time.Time, gap time.Duration) (packets, gaps int, longest time.Duration, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, 0, err
	}
	defer f.Close()
	r, header, err := rtpdump.NewReader(f)
	if err != nil {
		return 0, 0, 0, err
	}
	var video uint32 // its SSRC: the first one, since audio is added later
	last := from
	for {
		p, err := r.Next()
		at := to
		if err == nil {
			var h rtp.Header
			if _, err := h.Unmarshal(p.Payload); err != nil {
				return packets, gaps, longest, err
			}
			if at = header.Start.Add(p.Offset); video == 0 {
				video = h.SSRC
			}
			if h.SSRC != video || at.Before(from) {
				continue
			}
		} else if err != io.EOF {
			return packets, gaps, longest, err
		}
		if !at.Before(to) {
			at = to
		}
		if longest = max(longest, at.Sub(last)); at.Sub(last) > gap {
			gaps++
		}
		if at.Equal(to) {
			return packets, gaps, longest, nil
		}
		last, packets = at, packets+1
	}
}

// inProcess is a parley that runs in this process.
type inProcess struct {
	*e2etest.Process
	name string
	in   net.Conn
	code exit.Code // once exited
	next int       // ID of a command
}

func startInProcess(t *testing.T, args []string) *inProcess {
	t.Helper()
	in, commands := net.Pipe()
	p := &inProcess{Process: &e2etest.Process{Out: e2etest.NewOutput(), Err: e2etest.NewOutput(), Exited: make(chan struct{})}, in: commands}
	for i, a := range args {
		if a == "--as" {
			p.name = args[i+1]
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(p.Exited)
		p.code = cli.Run(ctx, stdio.Streams{In: in, Out: p.Out, Err: p.Err}, args)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.Exited
		_ = commands.Close()
		if t.Failed() && p.code != exit.OK {
			t.Logf("%s\n%s%s", strings.Join(args, " "), p.Out, p.Err)
		}
	})
	return p
}

// do runs a command and waits for its reply.
func (p *inProcess) do(command string) error {
	p.next++
	if err := p.in.SetWriteDeadline(time.Now().Add(e2etest.Patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.in, `{"id":%d,%s}`+"\n", p.next, command); err != nil {
		return err
	}
	return p.Until(fmt.Sprintf(`"event":"reply".*"id":%d,"command":"[a-z-]+","ok":true`, p.next))
}

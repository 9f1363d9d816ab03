package terminal

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// A terminal shows the video above and the text below it, whole, also after it
// has got another size; the end gives it all back.
func TestShowInATerminal(t *testing.T) {
	_, server := e2etest.Serve(t)
	echo := e2etest.Start(t, "echo", "--server", server)
	echo.Says(t, "waiting for calls")
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) string {
		out, err := exec.Command("tmux", append([]string{"-S", socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %v: %v (install tmux)\n%s", args, err, out)
		}
		return string(out)
	}
	command := fmt.Sprintf("COLORTERM=truecolor %s call echo --server %s --video test --show --linger 10m%s --say 'hello there'; "+
		"echo ended with $?; exec sleep 1000", path, server, strings.Repeat(" --say 'more than the region below has rows'", 12))
	tmux("new-session", "-d", "-x", "90", "-y", "34", command)
	t.Cleanup(func() { tmux("kill-server") })
	// until waits for a screen on which the rows of the video are whole, and one of the texts is
	// there.
	until := func(columns, rows int, text ...string) {
		t.Helper()
		var screen string
		for deadline := time.Now().Add(e2etest.Patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // between two looks
			screen = tmux("capture-pane", "-p")
			lines := strings.Split(screen, "\n")
			drawn := 0
			for _, line := range lines {
				if line = strings.TrimSpace(line); line == strings.Repeat("▀", columns) {
					drawn++
				} else if strings.Contains(line, "▀") {
					drawn = -1000 // something is in it
				}
			}
			there := slices.ContainsFunc(text, func(want string) bool { return slices.Contains(lines, want) })
			if drawn == rows && there {
				return
			}
		}
		t.Fatalf("no video of %d by %d with %q; the screen is\n%s", columns, rows, text, screen)
	}
	until(69, 26, "echo: hello there") // the answers come last
	if colours := tmux("capture-pane", "-p", "-e"); strings.Count(colours, "\x1b[38;2;") < 100 {
		t.Errorf("the video has no colours:\n%q", colours)
	}
	tmux("resize-window", "-x", "60", "-y", "20")
	until(40, 15, "echo: hello there", "said: hello there") // the text stays
	tmux("send-keys", "C-c")
	ended := func() bool { return strings.Contains(tmux("capture-pane", "-p"), "ended with 130") }
	for deadline := time.Now().Add(e2etest.Patience); !ended(); time.Sleep(50 * time.Millisecond) { // between two looks
		if time.Now().After(deadline) {
			t.Fatalf("it does not end; the screen is\n%s", tmux("capture-pane", "-p"))
		}
	}
}

// TestShowOfChanges: the video comes back after a call was on hold, with another source, another
// size, another codec, and with the first one again.
func TestShowOfChanges(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"red": {"-c:v", "libvpx"}, "blue": {"-s", "640x480", "-c:v", "libvpx"},
		"lime": {"-pix_fmt", "yuv420p", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"},
	} {
		args = append([]string{"-v", "error", "-f", "lavfi", "-i", "color=" + name + ":s=320x240:r=10:d=2"}, args...)
		if out, err := exec.Command("ffmpeg", append(args, "-g", "5", filepath.Join(dir, name+".ivf"))...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
	}
	_, server := e2etest.Serve(t)
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	x := e2etest.StartTmux(t, 90, 34, fmt.Sprintf("COLORTERM=truecolor %s answer --as bob --server %s --show --once; echo ended with $?; exec sleep 1000", path, server))
	sees := func(what string, colour int) {
		t.Helper()
		x.Shows(what, func([]string) bool { return hasColour(x.Run("capture-pane", "-p", "-e"), colour) })
	}
	x.Has("waiting for calls")
	alice, write := e2etest.StartCommanded(t, "call", "bob", "--as", "alice", "--server", server, "--video", filepath.Join(dir, "red.ivf"), "--loop")
	sees("red", 0)
	write(`"command":"hold"`)
	x.Has("no video comes from alice for now")
	write(`"command":"source","kind":"video","source":"` + filepath.Join(dir, "blue.ivf") + `"`)
	write(`"command":"resume"`)
	sees("blue", 2)
	write(`"command":"source","kind":"video","source":"` + filepath.Join(dir, "lime.ivf") + `"`)
	sees("lime", 1)
	write(`"command":"source","kind":"video","source":"` + filepath.Join(dir, "red.ivf") + `"`)
	sees("red", 0)
	write(`"command":"hangup"`)
	alice.Ends(t, 0)
	x.Has("ended with 0")
}

// hasColour reports whether a whole frame of red (0), green (1) or blue (2) alone is on a screen.
func hasColour(screen string, want int) bool {
	all := regexp.MustCompile(`\x1b\[38;2;(\d+);(\d+);(\d+)`).FindAllStringSubmatch(screen, -1)
	for _, c := range all {
		for i, digits := range c[1:] {
			if value, _ := strconv.Atoi(digits); (value > 128) != (i == want) {
				return false
			}
		}
	}
	return len(all) > 0
}

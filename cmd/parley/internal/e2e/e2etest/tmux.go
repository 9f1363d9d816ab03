package e2etest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Tmux is a terminal that a test types into and reads.
type Tmux struct {
	t      *testing.T
	socket string
}

// StartTmux runs a shell command in a terminal until the test ends.
func StartTmux(t *testing.T, columns, rows int, command string) *Tmux {
	t.Helper()
	x := &Tmux{t, filepath.Join(t.TempDir(), "tmux")}
	// -u: UTF-8, whatever the locale of the machine
	x.Run("-u", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), command)
	t.Cleanup(func() { _ = x.command("kill-server").Run() }) // fails if the command has ended
	return x
}

// Run runs a command of tmux and returns its output.
func (x *Tmux) Run(args ...string) string {
	x.t.Helper()
	out, err := x.command(args...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %v: %v (install tmux)\n%s", args, err, out)
	}
	return string(out)
}

func (x *Tmux) command(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-S", x.socket, "-f", "/dev/null"}, args...)...)
}

// Type presses keys, which are named as in tmux(1).
func (x *Tmux) Type(keys ...string) {
	x.t.Helper()
	x.Run(append([]string{"send-keys"}, keys...)...)
}

// Enter types a line and presses Enter.
func (x *Tmux) Enter(line string) {
	x.t.Helper()
	x.Run("send-keys", "-l", line)
	x.Type("Enter")
}

// Shows waits until ok returns true for the rows of the screen. what describes them in errors.
func (x *Tmux) Shows(what string, ok func(rows []string) bool) {
	x.t.Helper()
	var screen string
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // between two looks
		screen = x.Run("capture-pane", "-p")
		if ok(strings.Split(strings.TrimSuffix(screen, "\n"), "\n")) {
			return
		}
	}
	x.t.Fatalf("the screen does not show %s; it is\n%s", what, screen)
}

// Is waits until the screen has exactly these rows. "*" is any row.
func (x *Tmux) Is(want ...string) {
	x.t.Helper()
	x.Shows(fmt.Sprintf("\n%s\n", strings.Join(want, "\n")), func(rows []string) bool {
		for len(rows) < len(want) {
			rows = append(rows, "")
		}
		for i, row := range rows {
			if i >= len(want) || want[i] != "*" && strings.TrimRight(row, " ") != want[i] {
				return false
			}
		}
		return true
	})
}

// Has waits until the screen contains a text.
func (x *Tmux) Has(text string) {
	x.t.Helper()
	x.Shows(fmt.Sprintf("%q", text), func(rows []string) bool { return strings.Contains(strings.Join(rows, "\n"), text) })
}

//go:build !quick

package process

import (
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestErr compares the errors of programs that fail, with the end of their standard error made
// printable.
func TestErr(t *testing.T) {
	for line, want := range map[string]string{
		"exit 0":                             "",
		"echo one >&2; echo two >&2; exit 3": "the program failed (exit status 3): one / two",
		"printf 'a\\033[2Jb' >&2; exit 4":    "the program failed (exit status 4): a [2Jb",
		"printf 'Ça va\\302\\240? \\342\\200\\214 \\343\\200\\200 \\377' >&2; exit 6": "the program failed (exit status 6): Ça va\u00a0? \u200c \u3000 \xff",
		"kill -9 $$":                             "the program failed (signal: killed)",
		"seq 100000 >&2; exit 1":                 "the program failed (exit status 1): 99998 / 99999 / 100000",
		"printf '\\n\\r \\n' >&2; exit 5":        "the program failed (exit status 5)",
		"sleep 1000 <&- >&- 2>&- & echo x; exit": "",
	} {
		p, err := Start(Shell(line))
		if err != nil {
			t.Fatal(err)
		}
		<-p.Exited()
		text := ""
		if err := p.Err(); err != nil {
			text = err.Error()
		}
		if text != want {
			t.Errorf("%s: error is %q, want %q", line, text, want)
		}
		p.Stop()
	}
}

// TestStop stops a program that ignores SIGTERM, with the process that it has started.
func TestStop(t *testing.T) {
	cmd := Shell("trap '' TERM; (trap '' TERM; sleep 1000) & echo ready; wait; sleep 1000")
	out, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = input
	p, err := Start(cmd)
	_ = input.Close()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := out.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "ready") {
		t.Fatal(string(b[:n]), err)
	}
	p.Stop()
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error is %v", err)
	}
	if _, err := out.Read(b); err != io.EOF { // once no process of the group has the output open
		t.Errorf("the output ends with %v, want EOF", err)
	}
}

// TestStartFails starts a program that does not exist.
func TestStartFails(t *testing.T) {
	cmd := Shell("true")
	cmd.Path = "/nonexistent/program"
	if p, err := Start(cmd); err == nil {
		p.Stop()
		t.Error("no error")
	}
}

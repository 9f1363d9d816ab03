package terminal

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/client"
)

// TestSecondSignal: the first signal ends gracefully, here with a drain of ten minutes, and the
// second one at once with 128 and its number. SIGINT counts where the process was started with it
// ignored, as in the background of a script. SIGHUP does not count there, as under nohup, and is
// never the second one, because a terminal that is closed sends several.
func TestSecondSignal(t *testing.T) {
	const hup, interrupt, term = syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ignored       string           // by the process that starts parley
		first, second []syscall.Signal // before the drain, and after it has begun
		code          int
	}{
		"terminal, INT":    {"", []syscall.Signal{term}, []syscall.Signal{interrupt}, 130},
		"terminal, TERM":   {"", []syscall.Signal{term}, []syscall.Signal{term}, 143},
		"terminal, closed": {"", []syscall.Signal{hup}, []syscall.Signal{hup, term}, 143},
		"background, INT":  {"INT QUIT", []syscall.Signal{term}, []syscall.Signal{interrupt}, 130},
		"background, TERM": {"INT QUIT", []syscall.Signal{term}, []syscall.Signal{term}, 143},
		"nohup, INT":       {"INT HUP", []syscall.Signal{hup, term}, []syscall.Signal{hup, interrupt}, 130},
	} {
		t.Run(name, func(t *testing.T) {
			script := `trap "" ` + test.ignored + `; exec "$@"`
			if test.ignored == "" {
				script = `exec env --default-signal=HUP,INT "$@"`
			}
			p := e2etest.Launch(t, exec.Command("sh", "-c", script, "sh", path, "serve", "--listen", "127.0.0.1:0", "--drain", "10m", "--output", "ndjson"), nil)
			p.Says(t, `"event":"listening".*\n`)
			events, err := e2etest.ReadEvents(p.Out.String())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), e2etest.Patience)
			defer cancel()
			c, err := client.Dial(ctx, "ws"+strings.TrimPrefix(events[0]["url"].(string), "http"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close() //nolint:errcheck // the server has ended
			if err := c.Login(ctx, "bob"); err != nil {
				t.Fatal(err)
			}
			send := func(all []syscall.Signal) {
				for _, s := range all {
					if err := p.Cmd.Process.Signal(s); err != nil {
						t.Fatal(err)
					}
				}
			}
			send(test.first)
			p.Says(t, "draining")
			begun := time.Now()
			send(test.second)
			p.Ends(t, test.code)
			if d := time.Since(begun); d > 10*time.Second {
				t.Errorf("it ended %s after the second signal", d)
			}
		})
	}
}

// TestSignalThatWasIgnored: SIGINT hangs up although the process was started with it ignored.
func TestSignalThatWasIgnored(t *testing.T) {
	_, server := e2etest.Serve(t)
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	p := e2etest.Launch(t, exec.Command("sh", "-c", `trap "" INT QUIT HUP; exec "$@"`, "sh", path, "answer", "--as", "bob", "--server", server), nil)
	p.Says(t, "waiting for calls")
	if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	e2etest.Start(t, "call", "bob", "--server", server, "--expect", "connected").Ends(t, 0)
	e2etest.Interrupt(t, p)
}

//go:build unix

package adapter

import (
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// serveStreams runs a server of Server-Sent Events until the test ends and returns its URL.
func serveStreams(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(&events{streams: map[string]chan string{}})
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server.URL
}

// TestCommands runs each command that calls with one that answers, signaled by a program.
func TestCommands(t *testing.T) {
	flags := by(t, "sse.py", serveStreams(t))
	report := filepath.Join(t.TempDir(), "report.txt")
	if err := os.WriteFile(report, []byte("all is well"), 0o600); err != nil {
		t.Fatal(err)
	}
	into := t.TempDir()
	frame := filepath.Join(into, "frame.png")
	for name, c := range map[string]struct {
		answers, calls []string // the peer of the call is bob
		stdin          string   // of the caller
		said, answered string   // by the caller and by bob
		ends           bool     // bob, after the call
		file           string   // that is there then
	}{
		"call": {answers: []string{"answer", "--once", "--say", "pong", "--expect", "text=ping"}, calls: []string{"call", "bob", "--say", "ping", "--expect", "text=pong"}, ends: true},
		"probe": {answers: []string{"echo"}, calls: []string{"probe", "bob", "--peer-type", "echo", "--suite", "all", "data-channel", "text-comes-back", "answers"},
			said: `3 passed, 0 failed, 0 errors`},
		"probe --load": {answers: []string{"echo"}, calls: []string{"probe", "bob", "--load", "2", "--duration", "500ms", "--require", "setup.ms:max>=0"}, said: `setup.ms`},
		"doctor": {answers: []string{"echo"}, calls: []string{"doctor", "bob"},
			said: `(?s)ok    signaling  exec:.* reached by a program, transport unknown, signed in as doctor-.*ok    call       connected to bob in`},
		"chat":     {answers: []string{"chat", "--accept", "--plain"}, calls: []string{"chat", "bob"}, stdin: "good morning\n", answered: `good morning`},
		"pipe":     {answers: []string{"pipe"}, calls: []string{"pipe", "bob", "--exit-on-eof"}, stdin: "through the pipe\n", answered: `^through the pipe\n`, ends: true},
		"send":     {answers: []string{"receive", "--once", "--yes", "--into", into}, calls: []string{"send", report, "bob"}, ends: true, file: filepath.Join(into, "report.txt")},
		"snapshot": {answers: []string{"answer", "--video", "test"}, calls: []string{"snapshot", "bob", frame}, file: frame},
	} {
		t.Run(name, func(t *testing.T) {
			bob := e2etest.StartTyping(t, append(append(c.answers, "--as", "bob"), flags...)...)
			bob.Says(t, `signed in as bob at exec:`)
			caller := e2etest.StartTyping(t, append(c.calls, flags...)...)
			if _, err := io.WriteString(caller.In, c.stdin); err != nil {
				t.Fatal(err)
			}
			if err := caller.In.Close(); err != nil {
				t.Fatal(err)
			}
			if c.answered != "" {
				bob.Says(t, c.answered)
			}
			if c.ends {
				_ = bob.In.Close()
				bob.Ends(t, 0)
			}
			caller.Ends(t, 0)
			if c.said != "" {
				caller.Says(t, c.said)
			}
			if !c.ends {
				e2etest.Interrupt(t, bob)
			}
			if c.file != "" && e2etest.SizeOf(c.file) <= 0 {
				t.Errorf("there is no %s", c.file)
			}
		})
	}
}

// TestCommandsOfBadPrograms runs each command with programs that go wrong: there is one error, and
// its exit code is 10.
func TestCommandsOfBadPrograms(t *testing.T) {
	const ready = `read -r login; echo '{"type":"ready"}'; `
	for name, c := range map[string]struct{ program, want string }{
		"is never ready":          {`echo no broker >&2; exit 3`, "the signaling program failed: exit status 3: no broker"},
		"is killed":               {`kill -9 $$`, "the signaling program failed: signal: killed"},
		"begins with a text":      {`echo connected; cat`, "the signaling program wrote an invalid line 1: invalid JSON"},
		"refuses the login":       {`echo '{"type":"error","text":"who are you"}'; cat`, "the signaling program refused the login as "},
		"dies once ready":         {ready + `echo no broker >&2; exit 3`, "the signaling program failed: exit status 3: no broker"},
		"ends once ready":         {ready + `exit 0`, "the signaling program ended"},
		"writes invalid JSON":     {ready + `yes '{'`, "the signaling program wrote 100 invalid lines; the last, line 101: invalid JSON"},
		"floods":                  {ready + `yes '{"type":"leave","call":"x"}'`, "the signaling program wrote 100 invalid lines; the last, line 101: there is no call x"},
		"answers what is no call": {ready + `yes '{"type":"answer","call":"x","sdp":"v=0"}'`, "the signaling program wrote 100 invalid lines; the last, line 101: there is no call x to answer"},
	} {
		for _, args := range [][]string{
			{"call", "bob"}, {"answer"}, {"echo"}, {"chat", "bob"}, {"chat"}, {"pipe", "bob"}, {"pipe"}, {"send", "/etc/hostname", "bob"}, {"receive", "--yes"},
			{"snapshot", "bob", "frame.png"}, {"probe", "bob"}, {"doctor", "bob"},
		} {
			t.Run(name+"/"+strings.Join(args, " "), func(t *testing.T) {
				p := e2etest.StartTyping(t, append(args, "--signaling", "exec:"+c.program)...)
				p.Ends(t, 10)
				lines := regexp.MustCompile(`(?m)^parley: .*`+regexp.QuoteMeta(c.want)).FindAllString(p.Err.String(), -1)
				if len(lines) != 1 {
					t.Errorf("got errors %q, want one with %q", lines, c.want)
				}
			})
		}
	}
}

// TestSecondAnswer has a program answer twice: the call goes on, and the second answer is a
// warning.
func TestSecondAnswer(t *testing.T) {
	flags := by(t, "sse.py", serveStreams(t))
	twice := []string{flags[0], strings.Replace(flags[1], "exec '", "'", 1) + ` | sed -u '/"type": "answer"/p'`}
	bob := e2etest.Start(t, append([]string{"echo", "--as", "bob"}, flags...)...)
	bob.Says(t, `signed in as bob`)
	for _, args := range [][]string{
		{"call", "bob", "--say", "ping", "--expect", "text=ping"}, {"chat", "bob", "--plain"}, {"pipe", "bob", "--exit-on-eof"},
		{"probe", "bob", "data-channel", "--suite", "data"}, {"doctor", "bob"},
	} {
		t.Run(args[0], func(t *testing.T) {
			p := e2etest.StartTyping(t, append(args, twice...)...)
			if _, err := io.WriteString(p.In, "hello\n"); err != nil {
				t.Fatal(err)
			}
			_ = p.In.Close()
			p.Ends(t, 0)
			if n := strings.Count(p.Err.String(), "has no offer to answer"); n != 1 && args[0] != "probe" { // which reports results only
				t.Errorf("got %d warnings", n)
			}
		})
	}
}

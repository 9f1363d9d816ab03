//go:build unix && !quick

package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/signal"
)

// transcript records what an adapter reports.
type transcript struct {
	mu       sync.Mutex // guards the following
	warnings []string
	stderr   []string
}

func (r *transcript) options(command string) Options {
	return Options{
		Command: command, Name: "alice", Logger: slog.New(slog.DiscardHandler),
		Warn: func(format string, a ...any) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.warnings = append(r.warnings, fmt.Sprintf(format, a...))
		},
		Stderr: func(line string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.stderr = append(r.stderr, line)
		},
	}
}

func (r *transcript) warned() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.warnings...)
}

// start starts a shell script that is ready until the test ends.
func start(t *testing.T, script string) (*Adapter, *transcript) {
	t.Helper()
	var r transcript
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, err := Start(ctx, r.options(ready+script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, &r
}

const (
	ready = `read login; echo '{"type":"ready"}'; `
	offer = `echo '{"type":"offer","call":"9","peer":"bob","sdp":"v=0"}'; `
	// rest keeps a program running until its input ends.
	rest = `cat >/dev/null`
)

// receive returns the next message.
func receive(t *testing.T, a *Adapter) signal.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := a.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestStartFails starts programs that are never ready.
func TestStartFails(t *testing.T) {
	for _, test := range []struct {
		script, err string
		code        exit.Code
		timeout     time.Duration
	}{
		{`read login; echo 'no broker' >&2; exit 3`, "the signaling program failed: exit status 3: no broker", exit.Signaling, 20 * time.Second},
		{`exit 0`, "the signaling program ended", exit.Signaling, 20 * time.Second},
		{`kill -9 $$`, "the signaling program failed: signal: killed", exit.Signaling, 20 * time.Second},
		{`/nonexistent/program`, "not found", exit.Signaling, 20 * time.Second},
		{rest, `did not write {"type":"ready"} in time`, exit.Signaling, 300 * time.Millisecond},
		{`echo connected; ` + rest, `wrote an invalid line 1: invalid JSON`, exit.Signaling, 20 * time.Second},
		{offer + rest, `wrote an invalid line 1: got offer before ready`, exit.Signaling, 20 * time.Second},
		{`head -c 300000 /dev/zero; echo; ` + rest, `wrote an invalid line 1: longer than 262144 bytes`, exit.Signaling, 20 * time.Second},
		{`echo '{"type":"error","code":"unauthorized","text":"bad key"}'; ` + rest, "refused the login as alice: bad key", exit.Login, 20 * time.Second},
		{`echo '{"type":"error","text":"no server"}'; ` + rest, "refused the login as alice: no server", exit.Signaling, 20 * time.Second},
		{`exec >&-; ` + rest, "has closed its standard output", exit.Signaling, 20 * time.Second},
	} {
		var r transcript
		ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
		_, err := Start(ctx, r.options(test.script))
		cancel()
		if err == nil || !strings.Contains(err.Error(), test.err) || exit.CodeOf(err) != test.code || strings.ContainsAny(err.Error(), "\x00\n") {
			t.Errorf("%s: got error %v with code %d, want %q with %d", test.script, err, exit.CodeOf(err), test.err, test.code)
		}
	}
}

// TestInvalidLines has a program write a line that is wrong and then an offer, which is received
// all the same.
func TestInvalidLines(t *testing.T) {
	for name, test := range map[string]struct{ script, warning string }{
		"invalid JSON":      {`echo '{"type":'; `, "wrote an invalid line 2: invalid JSON"},
		"control character": {`printf '{"type":"\\u001b[2J"}\n'; `, "unknown type"},
		"unknown call":      {`echo '{"type":"answer","call":"x","sdp":"v=0"}'; `, "wrote an invalid line 2: there is no call x to answer"},
		"100 MiB":           {`head -c 104857600 /dev/zero; echo; `, "wrote an invalid line 2: longer than 262144 bytes"},
		"several":           {`echo a; echo b; echo c; `, "wrote an invalid line 2"},
		"own offer again":   {`echo '{"type":"ready"}'; echo '{"type":"leave","call":"y"}'; `, "there is no call y to change"},
	} {
		t.Run(name, func(t *testing.T) {
			a, r := start(t, test.script+offer+rest)
			if m := receive(t, a); m.Type != signal.Offer || m.Peer != "bob" || m.SDP != "v=0" {
				t.Errorf("got %v, want the offer", m)
			}
			if all := r.warned(); len(all) != 1 || !strings.Contains(all[0], test.warning) || strings.ContainsAny(all[0], "\x1b\x00") {
				t.Errorf("got the warnings %q, want one with %q", all, test.warning)
			}
		})
	}
}

// TestInvalidLineIsReportedToProgram has a program copy what it reads after a wrong line.
func TestInvalidLineIsReportedToProgram(t *testing.T) {
	a, _ := start(t, `echo '{"type":"candidate","call":"7"}'; read line; printf '%s\n' "$line" >&2; `+offer+rest)
	receive(t, a)
	last := func() string {
		a.program.mu.Lock()
		defer a.program.mu.Unlock()
		return a.program.last
	}
	for deadline := time.Now().Add(20 * time.Second); last() == "" && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if want := `{"type":"error","call":"7","code":"invalid","text":"wrote an invalid line 2: candidate is missing`; !strings.HasPrefix(last(), want) {
		t.Errorf("the program got %q, want %q", last(), want)
	}
}

// TestFloods has programs write without an end.
func TestFloods(t *testing.T) {
	t.Run("invalid lines", func(t *testing.T) {
		a, r := start(t, "yes")
		_, err := a.Receive(t.Context())
		if err == nil || !strings.Contains(err.Error(), "wrote 100 invalid lines; the last, line 101") || exit.CodeOf(err) != exit.Signaling {
			t.Errorf("got error %v", err)
		}
		if all := r.warned(); len(all) != 1 {
			t.Errorf("got the warnings %q, want one", all)
		}
	})
	t.Run("a line without end", func(t *testing.T) {
		a, _ := start(t, "cat /dev/zero")
		_, err := a.Receive(t.Context())
		if err == nil || !strings.Contains(err.Error(), "without a line end") || exit.CodeOf(err) != exit.Signaling {
			t.Errorf("got error %v", err)
		}
	})
	t.Run("messages", func(t *testing.T) {
		a, r := start(t, `yes '{"type":"ready"}' | head -n 3000; `+offer+rest)
		began := time.Now()
		receive(t, a)
		if all := r.warned(); len(all) < 1 || !strings.Contains(all[0], "writes more than 1000 lines a second") {
			t.Errorf("got the warnings %q", all)
		}
		if time.Since(began) < time.Second {
			t.Errorf("3000 lines were read in %s", time.Since(began))
		}
	})
	t.Run("offers", func(t *testing.T) {
		a, r := start(t, `i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo '{"type":"offer","call":"'$i'","peer":"p'$i'","sdp":"v=0"}'; done; `+rest)
		for range maxCalls {
			receive(t, a)
		}
		for deadline := time.Now().Add(20 * time.Second); len(r.warned()) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		if all := r.warned(); len(all) != 1 || !strings.Contains(all[0], "there are 256 calls already") {
			t.Errorf("got the warnings %q", all)
		}
	})
	t.Run("standard error", func(t *testing.T) {
		a, r := start(t, `head -c 100000 /dev/zero >&2; echo >&2; printf 'a\033[2Jb\n' >&2; `+offer+rest)
		receive(t, a)
		seen := func() []string {
			r.mu.Lock()
			defer r.mu.Unlock()
			return append([]string(nil), r.stderr...)
		}
		for deadline := time.Now().Add(20 * time.Second); len(seen()) < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		if all := seen(); len(all) != 2 || all[0] != "(a line of more than 4 KiB)" {
			t.Errorf("got %q", all)
		}
	})
}

// TestAnswersTwice has a program answer an offer twice: the second answer is dropped with one
// warning, and another call goes on.
func TestAnswersTwice(t *testing.T) {
	a, r := start(t, `read offer; id=${offer#*'"call":"'}; id=${id%%'"'*}; answer='{"type":"answer","call":"'$id'","sdp":"v=0"}'; `+
		`echo "$answer"; echo "$answer"; `+offer+rest)
	if err := a.To("carol").Send(t.Context(), signal.Message{Type: signal.Offer, SDP: "v=0"}); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, a); m.Type != signal.Answer || m.Peer != "carol" {
		t.Errorf("got %v, want the answer", m)
	}
	if m := receive(t, a); m.Type != signal.Offer || m.Peer != "bob" {
		t.Errorf("got %v, want the offer of another", m)
	}
	if all := r.warned(); len(all) != 1 || !strings.Contains(all[0], "has no offer to answer") {
		t.Errorf("got the warnings %q", all)
	}
}

// TestEnds has programs end after they were ready.
func TestEnds(t *testing.T) {
	for _, test := range []struct {
		script, err string
		ends        bool
	}{
		{"exit 0", "the signaling program ended", false},
		{"echo lost >&2; exit 7", "the signaling program failed: exit status 7: lost", true},
		{"kill -9 $$", "the signaling program failed: signal: killed", true},
		{"sleep 1000 & exit 0", "the signaling program ended", false}, // which keeps stdout open
	} {
		a, _ := start(t, offer+test.script)
		receive(t, a)
		_, err := a.Receive(t.Context())
		var failed *FailedError
		if err == nil || err.Error() != test.err || exit.CodeOf(err) != exit.Signaling || errors.As(err, &failed) != test.ends {
			t.Errorf("%s: got error %v with code %d, want %q", test.script, err, exit.CodeOf(err), test.err)
		}
		if err := a.To("bob").Send(t.Context(), signal.Message{Type: signal.Answer, SDP: "v=0"}); err != nil && exit.CodeOf(err) != exit.Signaling {
			t.Errorf("%s: got error %v of a message", test.script, err)
		}
	}
}

// TestUnreadInput has a program read nothing.
func TestUnreadInput(t *testing.T) {
	a, _ := start(t, "sleep 1000")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	c, sdp := a.To("bob"), strings.Repeat("x", 1000)
	var err error
	for range 1000 {
		if err = c.Send(ctx, signal.Message{Type: signal.Offer, SDP: sdp}); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "does not read its standard input") || exit.CodeOf(err) != exit.Signaling {
		t.Errorf("got error %v", err)
	}
}

// TestCloseWaits closes an adapter whose program takes its time to pass the last message on.
func TestCloseWaits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "last")
	var r transcript
	a, err := Start(t.Context(), r.options(ready+`while read -r line; do last=$line; done; sleep 1.5; echo "$last" >'`+file+`'`))
	if err != nil {
		t.Fatal(err)
	}
	c := a.To("bob")
	send(t, c, signal.Offer)
	send(t, c, signal.Leave)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := decode(text); err != nil || m.Type != "leave" {
		t.Errorf("the last message is %s: %v", text, err)
	}
}

// TestCloseEndsGroup closes an adapter whose program ignores signals and has started another.
func TestCloseEndsGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	var r transcript
	a, err := Start(t.Context(), r.options(`trap '' TERM; sleep 1000 & echo $! >'`+file+`'; `+ready+`wait`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
	for deadline := time.Now().Add(20 * time.Second); isRunning(child); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what the program started runs on")
		}
	}
}

// isRunning reports whether a process runs and is no zombie.
func isRunning(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(status), ") Z ")
}

// lines has a program copy its input to a file, and returns a function that waits for its nth
// message.
func lines(t *testing.T, script string) (*Adapter, func(n int) message) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in")
	a, _ := start(t, script+`exec cat >'`+file+`'`)
	return a, func(n int) message {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			text, _ := os.ReadFile(file)
			if all := strings.Split(string(text), "\n"); len(all) > n {
				m, err := decode([]byte(all[n-1]))
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			if time.Now().After(deadline) {
				t.Fatalf("message %d did not come: %s", n, text)
			}
		}
	}
}

// send sends a message of a call.
func send(t *testing.T, c interface {
	Send(context.Context, signal.Message) error
}, typ signal.Type) {
	t.Helper()
	if err := c.Send(t.Context(), signal.Message{Type: typ, SDP: "v=0\r\na=ice-ufrag:a\r\n"}); err != nil {
		t.Fatal(err)
	}
}

// TestIDs follows the ID of a call through its messages.
func TestIDs(t *testing.T) {
	a, line := lines(t, offer)
	receive(t, a)
	theirs := a.To("bob")
	send(t, theirs, signal.Answer)
	if m := line(1); m.Type != typeAnswer || m.Call != "9" || m.Peer != "bob" {
		t.Errorf("got %v, want an answer in call 9", m)
	}
	ours := a.To("carol")
	send(t, ours, signal.Offer)
	id := line(2).Call
	send(t, ours, signal.Offer) // changes the call
	if m := line(3); m.Call != id || id == "" || m.Type != typeOffer || m.Peer != "carol" {
		t.Errorf("got %v, want an offer in call %s", m, id)
	}
	ours.End()
	if m := line(4); m.Type != typeLeave || m.Call != id {
		t.Errorf("got %v, want a leave in call %s", m, id)
	}
	send(t, theirs, signal.Leave)
	theirs.End()
	again := a.To("carol")
	send(t, again, signal.Offer)
	if m := line(5); m.Type != typeLeave || m.Call != "9" {
		t.Errorf("got %v, want a leave in call 9", m)
	}
	if m := line(6); m.Type != typeOffer || m.Call == id {
		t.Errorf("got %v, want an offer in a new call", m)
	}
	_ = a.Close()
	if m := line(7); m.Type != typeLeave || m.Call != line(6).Call {
		t.Errorf("got %v, want a leave at the end", m)
	}
}

// TestCrossedOffers calls a peer that calls at the same time: an answer goes to its offer, and its
// answer comes to ours.
func TestCrossedOffers(t *testing.T) {
	t.Run("we answer", func(t *testing.T) {
		a, line := lines(t, `read offer; `+offer)
		c := a.To("bob")
		send(t, c, signal.Offer)
		receive(t, a)
		send(t, c, signal.Answer)
		if m := line(1); m.Type != typeAnswer || m.Call != "9" {
			t.Errorf("got %v, want an answer in call 9", m)
		}
		send(t, c, signal.Leave)
		if m := line(2); m.Type != typeLeave || m.Call != "9" {
			t.Errorf("got %v, want a leave in call 9", m)
		}
	})
	t.Run("the peer answers", func(t *testing.T) {
		a, line := lines(t, `read offer; id=${offer#*'"call":"'}; id=${id%%'"'*}; `+offer+
			`echo '{"type":"answer","call":"'$id'","sdp":"v=0"}'; echo '{"type":"offer","call":"'$id'","peer":"bob","sdp":"v=0"}'; `)
		c := a.To("bob")
		send(t, c, signal.Offer)
		for _, want := range []signal.Type{signal.Offer, signal.Answer, signal.Offer} {
			if m := receive(t, a); m.Type != want {
				t.Errorf("got %v, want %s", m, want)
			}
		}
		send(t, c, signal.Answer)
		if m := line(1); m.Type != typeAnswer || m.Call == "9" {
			t.Errorf("got %v, want an answer in our call", m)
		}
	})
}

// TestWithoutTrickle has a program ask for descriptions with all candidates.
func TestWithoutTrickle(t *testing.T) {
	a, line := lines(t, `echo '{"type":"ready","trickle":false}'; `+offer)
	receive(t, a) // what comes before it is handled
	c := a.To("carol")
	if err := c.Send(t.Context(), signal.Message{Type: signal.Offer, SDP: "v=0\r\nm=audio 9 x 0\r\na=ice-ufrag:a\r\nm=video 9 x 0\r\n"}); err != nil {
		t.Fatal(err)
	}
	index := uint16(0)
	for _, text := range []string{"candidate:1", "candidate:2"} {
		if err := c.Send(t.Context(), signal.Message{Type: signal.ICECandidate, Candidate: &signal.Candidate{Candidate: text, SDPMLineIndex: &index}}); err != nil {
			t.Fatal(err)
		}
	}
	c.GatheringComplete()
	const want = "v=0\r\nm=audio 9 x 0\r\na=ice-ufrag:a\r\na=candidate:1\r\na=candidate:2\r\na=end-of-candidates\r\nm=video 9 x 0\r\n"
	if m := line(1); m.Type != typeOffer || *m.SDP != want {
		t.Errorf("got %q, want %q", *m.SDP, want)
	}
	send(t, c, signal.Offer) // with the same user name fragment
	if m := line(2); m.Type != typeOffer {
		t.Errorf("got %v, want a second offer at once", m)
	}
}

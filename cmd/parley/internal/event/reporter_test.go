package event_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/event/eventtest"
	"parley/cmd/parley/internal/exit"
)

// line is an event of about a kilobyte.
func line(i int) event.Event {
	return event.Event{Name: "text", Peer: "bob", Output: "bob: " + strings.Repeat("x", 1000),
		Fields: event.Fields("label", "l", "direction", "in", "text", strings.Repeat("x", 1000), "number", i)}
}

func TestReporterDoesNotWaitForItsReader(t *testing.T) {
	for _, ndjson := range []bool{true, false} {
		var messages buffer
		reader, out := io.Pipe()
		r := event.NewReporter(event.Options{Out: out, Err: &messages, NDJSON: ndjson})
		const events = 10_000
		for i := range events {
			r.Report(line(i)) // of 10 MB, and nobody reads
		}
		r.Warnf("a warning")
		var read []string
		var reading sync.WaitGroup
		reading.Go(func() {
			lines := bufio.NewScanner(reader)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				read = append(read, lines.Text())
			}
		})
		err := r.Close()
		_ = out.Close()
		reading.Wait()
		if exit.CodeOf(err) != exit.Failure {
			t.Errorf("ndjson %t: got %v, want exit code 1", ndjson, err)
		}
		if !ndjson {
			if len(read) == 0 || len(read) >= events {
				t.Errorf("human: %d of %d lines were written", len(read), events)
			}
			continue
		}
		if !strings.Contains(messages.String(), "parley: a warning\n") {
			t.Errorf("ndjson: the warning is not written: %q", messages.String())
		}
		last := read[len(read)-1]
		if err := eventtest.Validate("event", last); err != nil {
			t.Error(err)
		}
		var end struct {
			Event string
			Count int
		}
		if err := json.Unmarshal([]byte(last), &end); err != nil || end.Event != "events-dropped" {
			t.Fatalf("the last event is %s, %v", last, err)
		}
		if got := len(read) - 1; end.Count == 0 || got+end.Count != events || !strings.Contains(err.Error(), "dropped") {
			t.Errorf("%d events were written and %d dropped of %d: %v", got, end.Count, events, err)
		}
	}
}

func TestReporterIsClosedWhileItsReaderStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, out := io.Pipe()
		r := event.NewReporter(event.Options{Out: out, Err: io.Discard, NDJSON: true})
		r.Report(line(0))
		if err := r.Close(); exit.CodeOf(err) != exit.Failure {
			t.Errorf("got %v, want exit code 1", err)
		}
		r.Draw(io.Discard, []byte("x")) // does not wait for what is closed
		r.ClearStatus()
		_ = reader.Close()
	})
}

func TestReporterReportsWriteErrors(t *testing.T) {
	for _, ndjson := range []bool{true, false} {
		var messages buffer
		out := &failingWriter{err: syscall.ENOSPC}
		r := event.NewReporter(event.Options{Out: out, Err: &messages, NDJSON: ndjson})
		r.Report(line(0))
		r.Report(line(1))
		r.ClearStatus() // waits for what is queued
		err := r.Close()
		if !errors.Is(err, syscall.ENOSPC) || exit.CodeOf(err) != exit.Failure {
			t.Errorf("ndjson %t: got %v, want ENOSPC and exit code 1", ndjson, err)
		}
		if out.calls != 1 {
			t.Errorf("ndjson %t: %d writes, want none after the first error", ndjson, out.calls)
		}
		if got := messages.String(); strings.Count(got, "no space left on device") != 1 {
			t.Errorf("ndjson %t: messages %q, want one warning", ndjson, got)
		}
	}
}

func TestReporterKeepsTheOrder(t *testing.T) {
	var both buffer
	r := event.NewReporter(event.Options{Out: &both, Err: &both})
	r.Report(event.Event{Name: "a", Message: "1"})
	r.Report(event.Event{Name: "a", Output: "2", Message: "3"})
	r.Warnf("%d", 4)
	r.Infof("5")
	r.Report(event.Event{Name: "a", Message: "not without --verbose", Detail: true})
	r.Status("not without a terminal")
	r.Draw(&both, []byte("6"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.Report(event.Event{Name: "a", Output: "not after Close"})
	if got, want := both.String(), "1\n2\n3\nparley: 4\n5\n6"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReporterIsQuiet(t *testing.T) {
	var out, messages buffer
	r := event.NewReporter(event.Options{Out: &out, Err: &messages, Quiet: true})
	r.Report(event.Event{Name: "a", Message: "no", Output: "data"})
	r.Infof("no")
	r.Report(event.Event{Name: "a", Message: "alert", Alert: true})
	r.Warnf("warning")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if out.String() != "data\n" || messages.String() != "parley: alert\nparley: warning\n" {
		t.Errorf("got %q and %q", out.String(), messages.String())
	}
}

func TestInterceptTakesEvents(t *testing.T) {
	var out, messages buffer
	var names []string
	r := event.NewReporter(event.Options{Out: &out, Err: &messages, NDJSON: true, Intercept: func(e event.Event) bool {
		names = append(names, e.Name)
		return e.Name != "kept"
	}})
	r.Report(event.Event{Name: "taken"})
	r.Report(event.Event{Name: "kept"})
	r.Status("line")
	r.Warnf("warning")
	r.Infof("sentence")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, ","); got != "taken,kept,"+event.StatusLine+","+event.Warning+"," {
		t.Errorf("intercepted %s", got)
	}
	if got := out.String() + messages.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"event":"kept"`) {
		t.Errorf("got %q", got)
	}
}

// buffer is a buffer for several goroutines.
type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type failingWriter struct {
	err   error
	calls int
}

func (f *failingWriter) Write([]byte) (int, error) {
	f.calls++
	return 0, f.err
}

// TestReporterEscapesWhatTerminalsObey: controls, bidi overrides and invalid bytes are escaped in
// all output, and text of any script is unchanged.
func TestReporterEscapesWhatTerminalsObey(t *testing.T) {
	const text, want = "Ça va\u00a0? \u06cc\u200c\u06cc \u3000 a\x1b[2J \u202eb \xff", "Ça va\u00a0? \u06cc\u200c\u06cc \u3000 a\\x1b[2J \\u{202e}b \\xff"
	var out, messages buffer
	r := event.NewReporter(event.Options{Out: &out, Err: &messages})
	r.Report(event.Event{Name: "text", Output: "output " + text, Message: "message " + text})
	r.Report(event.Event{Name: "text", Message: "alert " + text, Alert: true})
	r.Infof("info %s", text)
	r.Warnf("warning %s", text)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "output "+want+"\n" {
		t.Errorf("output: got %q, want %q", got, "output "+want)
	}
	for _, kind := range []string{"message ", "parley: alert ", "info ", "parley: warning "} {
		if !strings.Contains(messages.String(), kind+want+"\n") {
			t.Errorf("%s: got %q, want %q", kind, messages.String(), want)
		}
	}
}

package event

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
)

// Options configure a Reporter.
type Options struct {
	Out, Err io.Writer
	NDJSON   bool // events as JSON, one a line, on Out
	Quiet    bool
	Verbose  bool
	// Intercept gets each event before it is reported. If it returns true, the event is not
	// reported. Nil for none.
	Intercept func(Event) bool
	// Observe gets each event as well, on the goroutine that reports it. Nil for none.
	Observe func(Event)
}

// Reporter reports events: as sentences on standard error with the data on standard output, or as
// NDJSON on standard output. Its methods may be called by several goroutines. They do not wait for
// the writers: output that a reader does not take is queued, and dropped when too much waits.
type Reporter struct {
	Options
	color bool
	live  bool // Err is a terminal, where a status line is drawn over
	now   func() time.Time

	// In NDJSON, messages get through while the reader of events stalls. Otherwise both are the
	// same queue, for the order of lines on a terminal.
	out, err *queue

	mu       sync.Mutex // guards all below
	dropped  int        // lines for Out
	writeErr error      // first error of Out

	// Of the goroutine of err:
	drawn  bool     // a status line is on the terminal
	recent []string // latest lines on a terminal
}

const (
	// maxQueued bounds the output that waits for a reader, in bytes.
	maxQueued = 4 << 20
	// closeTimeout is how long Close waits for the readers.
	closeTimeout = 5 * time.Second
	// maxRecent bounds the lines that a reporter remembers: more than a terminal has rows below an
	// image.
	maxRecent = 64
)

// NewReporter returns a reporter. Close waits for its output. The options must not be changed after
// the first event.
func NewReporter(o Options) *Reporter {
	r := &Reporter{Options: o, color: stdio.WantsColor(o.Err), live: stdio.IsTerminal(o.Err), now: time.Now}
	r.err = newQueue(maxQueued)
	r.out = r.err
	if o.NDJSON {
		r.out = newQueue(maxQueued)
	}
	return r
}

// Close waits until the output is written, for a short time if a reader stalls. Nothing is reported
// afterwards. The error says that a write to Out failed or that events were dropped; then the last
// line of an event stream is the event "events-dropped" with their number.
func (r *Reporter) Close() error {
	r.mu.Lock()
	dropped := r.dropped
	r.mu.Unlock()
	var last func()
	if dropped > 0 && r.NDJSON {
		line := Event{Name: "events-dropped", Fields: Fields("count", dropped)}.Line(r.now())
		last = func() { r.writeOut(line) }
	}
	written := r.out.close(last, closeTimeout)
	r.mu.Lock()
	err := r.writeErr
	r.mu.Unlock()
	switch {
	case err != nil:
		err = exit.Errorf(exit.Failure, "standard output: %w", err)
	case !written:
		err = exit.Errorf(exit.Failure, "standard output: its reader stalls, and the rest of the output is lost")
	case dropped > 0:
		err = exit.Errorf(exit.Failure, "standard output: its reader stalled, and %d lines were dropped", dropped)
	}
	if r.err != r.out {
		r.err.close(nil, closeTimeout)
	}
	return err
}

// CloseInto closes the reporter, and sets *err to its error unless *err is an error already.
func (r *Reporter) CloseInto(err *error) {
	if closeErr := r.Close(); *err == nil {
		*err = closeErr
	}
}

// TakesEvents reports whether an event without a message has a reader.
func (r *Reporter) TakesEvents() bool { return r.Intercept != nil || r.NDJSON }

// TakesStatus reports whether a status line has a reader.
func (r *Reporter) TakesStatus() bool { return r.Intercept != nil || r.Interactive() }

// Interactive reports whether a person watches a terminal, where a status line is drawn.
func (r *Reporter) Interactive() bool { return r.live && !r.Quiet && !r.NDJSON }

// Report reports an event.
func (r *Reporter) Report(e Event) {
	if r.Observe != nil {
		r.Observe(e)
	}
	if r.intercepted(e) {
		return
	}
	if r.NDJSON {
		line := e.Line(r.now())
		r.addOut(len(line), func() { r.writeOut(line) })
		return
	}
	if e.Output != "" {
		line := printable(e.Output)
		r.addOut(len(line), func() { r.clear(); r.writeOut([]byte(line + "\n")); r.remember(r.Out, line) })
	}
	switch {
	case e.Message == "":
	case e.Alert:
		r.addErr("parley: " + printable(e.Message))
	case !r.Quiet && (r.Verbose || !e.Detail):
		r.addErr(r.dim(printable(e.Message)))
	}
}

func (r *Reporter) intercepted(e Event) bool { return r.Intercept != nil && r.Intercept(e) }

// addOut queues a line for Out.
func (r *Reporter) addOut(size int, do func()) {
	if r.out.add(write{size: size, do: do}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped++
}

// addErr queues a line for Err. What does not fit is dropped: only messages for people come here.
func (r *Reporter) addErr(line string) {
	r.err.add(write{size: len(line), do: func() {
		r.clear()
		fmt.Fprintln(r.Err, line)
		r.remember(r.Err, line)
	}})
}

// writeOut writes to Out, until a write has failed. On a pipe without a reader the process gets
// SIGPIPE.
func (r *Reporter) writeOut(b []byte) {
	r.mu.Lock()
	failed := r.writeErr != nil
	r.mu.Unlock()
	if failed {
		return
	}
	if _, err := r.Out.Write(b); err != nil {
		r.mu.Lock()
		r.writeErr = err
		r.mu.Unlock()
		r.Warnf("standard output: %v; no more is written to it", err)
	}
}

// remember keeps a line of a terminal for Redraw.
func (r *Reporter) remember(w io.Writer, line string) {
	if stdio.IsTerminal(w) {
		r.recent = append(r.recent[max(0, len(r.recent)+1-maxRecent):], line)
	}
}

// Status draws a status line in place of the one before, on a terminal. It stays there until the
// next output.
func (r *Reporter) Status(line string) {
	if r.intercepted(Event{Name: StatusLine, Message: line}) || !r.TakesStatus() {
		return
	}
	r.err.add(write{size: len(line), status: true, do: func() {
		r.clear()
		fmt.Fprint(r.Err, r.dim(printable(line)))
		r.drawn = true
	}})
}

func (r *Reporter) clear() {
	if r.drawn {
		fmt.Fprint(r.Err, "\r\x1b[K")
		r.drawn = false
	}
}

// ClearStatus removes the status line, before something else writes to the terminal.
func (r *Reporter) ClearStatus() { r.err.addAndWait(r.clear) }

// Infof reports a sentence that is not part of the event stream.
func (r *Reporter) Infof(format string, a ...any) {
	message := fmt.Sprintf(format, a...)
	if !r.intercepted(Event{Message: message}) && !r.Quiet && !r.NDJSON {
		r.addErr(r.dim(printable(message)))
	}
}

// PassThrough prints a line that another program has written to its standard error, with NDJSON
// too.
func (r *Reporter) PassThrough(line string) {
	line = sanitize.Text(line)
	if !r.intercepted(Event{Message: line}) && !r.Quiet {
		r.addErr(r.dim(line))
	}
}

// Warnf reports a warning, with --quiet too.
func (r *Reporter) Warnf(format string, a ...any) {
	message := fmt.Sprintf(format, a...)
	if !r.intercepted(Event{Name: Warning, Message: message}) {
		r.addErr("parley: " + printable(message))
	}
}

// Draw writes control sequences to a terminal, between two lines of text. It returns when they are
// written.
func (r *Reporter) Draw(out io.Writer, b []byte) {
	r.err.addAndWait(func() { _, _ = out.Write(b) }) // a terminal that is gone ends the process by itself
}

// Redraw writes control sequences that clear the terminal, and then the latest lines of text again.
// It returns when they are written.
func (r *Reporter) Redraw(out io.Writer, b []byte, lines int) {
	r.err.addAndWait(func() {
		_, _ = out.Write(b)
		for _, line := range r.recent[max(0, len(r.recent)-lines):] {
			fmt.Fprintln(out, line)
		}
		r.drawn = false
	})
}

// printable returns text that is safe to print, with its line ends. Callers escape what is not
// trusted before they put it into a sentence; this is for what they have missed.
func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = sanitize.Text(line)
	}
	return strings.Join(lines, "\n")
}

func (r *Reporter) dim(s string) string {
	if !r.color {
		return s
	}
	return "\x1b[2m" + s + "\x1b[0m"
}

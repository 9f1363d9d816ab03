package event

import (
	"fmt"
	"io"
	"sync"
	"time"

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
}

// Reporter reports events: as sentences on standard error with the data on standard output, or as
// NDJSON on standard output. Its methods may be called by several goroutines.
type Reporter struct {
	Options
	color bool
	live  bool // Err is a terminal, where a status line is drawn over
	now   func() time.Time

	mu     sync.Mutex // guards all below, and the writers
	drawn  bool       // a status line is on the terminal
	recent []string   // latest lines on a terminal
}

// maxRecent bounds the lines that a reporter remembers: more than a terminal has rows below an
// image.
const maxRecent = 64

// NewReporter returns a reporter. The options must not be changed after the first event.
func NewReporter(o Options) *Reporter {
	return &Reporter{Options: o, color: stdio.WantsColor(o.Err), live: stdio.IsTerminal(o.Err), now: time.Now}
}

// TakesEvents reports whether an event without a message has a reader.
func (r *Reporter) TakesEvents() bool { return r.Intercept != nil || r.NDJSON }

// TakesStatus reports whether a status line has a reader.
func (r *Reporter) TakesStatus() bool { return r.Intercept != nil || r.live && !r.Quiet && !r.NDJSON }

// Report reports an event.
func (r *Reporter) Report(e Event) {
	if r.intercepted(e) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.NDJSON {
		_, _ = r.Out.Write(e.Line(r.now())) // a closed pipe ends the process by itself
		return
	}
	if e.Output != "" {
		r.write(r.Out, e.Output)
	}
	switch {
	case e.Message == "":
	case e.Alert:
		r.write(r.Err, "parley: "+e.Message)
	case !r.Quiet && (r.Verbose || !e.Detail):
		r.write(r.Err, r.dim(e.Message))
	}
}

func (r *Reporter) intercepted(e Event) bool { return r.Intercept != nil && r.Intercept(e) }

// write writes a line, and remembers it for Redraw.
func (r *Reporter) write(to io.Writer, line string) {
	r.clear()
	fmt.Fprintln(to, line)
	if stdio.IsTerminal(to) {
		r.recent = append(r.recent[max(0, len(r.recent)+1-maxRecent):], line)
	}
}

// Status draws a status line in place of the one before, on a terminal. It stays there until the
// next output.
func (r *Reporter) Status(line string) {
	if r.intercepted(Event{Name: StatusLine, Message: line}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.TakesStatus() {
		return
	}
	r.clear()
	fmt.Fprint(r.Err, r.dim(line))
	r.drawn = true
}

func (r *Reporter) clear() {
	if r.drawn {
		fmt.Fprint(r.Err, "\r\x1b[K")
		r.drawn = false
	}
}

// ClearStatus removes the status line, before something else writes to the terminal.
func (r *Reporter) ClearStatus() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clear()
}

// Infof reports a sentence that is not part of the event stream.
func (r *Reporter) Infof(format string, a ...any) {
	if r.intercepted(Event{Message: fmt.Sprintf(format, a...)}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.Quiet && !r.NDJSON {
		r.write(r.Err, r.dim(fmt.Sprintf(format, a...)))
	}
}

// Warnf reports a warning, with --quiet too.
func (r *Reporter) Warnf(format string, a ...any) {
	if r.intercepted(Event{Name: Warning, Message: fmt.Sprintf(format, a...)}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(r.Err, "parley: "+fmt.Sprintf(format, a...))
}

// Draw writes control sequences to a terminal, between two lines of text.
func (r *Reporter) Draw(out io.Writer, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = out.Write(b) // a terminal that is gone ends the process by itself
}

// Redraw writes control sequences that clear the terminal, and then the latest lines of text again.
func (r *Reporter) Redraw(out io.Writer, b []byte, lines int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = out.Write(b)
	for _, line := range r.recent[max(0, len(r.recent)-lines):] {
		fmt.Fprintln(out, line)
	}
	r.drawn = false
}

func (r *Reporter) dim(s string) string {
	if !r.color {
		return s
	}
	return "\x1b[2m" + s + "\x1b[0m"
}

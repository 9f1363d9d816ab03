package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// reporter tells what happens: as sentences on stderr with the data on stdout,
// or as one JSON object a line on stdout.
type reporter struct {
	mu      sync.Mutex // protects following
	out     io.Writer
	err     io.Writer
	ndjson  bool
	quiet   bool
	verbose bool
	colour  bool
	live    bool     // err is a terminal: status lines may be drawn over
	drawn   bool     // a status line stands there
	recent  []string // the latest lines that a terminal was given, as they were written
	now     func() time.Time
	hear    func(event) (taken bool) // is told first, and may take it all; nil for nobody. Set before anything is reported
}

// mostRecent bounds the lines that a reporter remembers: more than a terminal
// has rows below a picture.
const mostRecent = 64

// event is one thing that happened, as a machine and as a person wants it.
type event struct {
	name   string
	peer   string  // as it came; "" for none
	fields []field // beyond time, event and peer; in this order
	say    string  // the sentence for stderr, printable; "" for none
	data   string  // the line for stdout, printable; "" for none
	detail bool    // the sentence is for --verbose only
	alert  bool    // the sentence is one that a user should know even with --quiet
	over   bool    // of a refused text: because the call is over
}

// The names that reporter.hear knows a status line and a warning by, which are
// no events for a machine.
const (
	eventStatus  = "status line"
	eventWarning = "warning"
)

type field struct {
	key   string
	value any
}

// takesEvents reports whether an event without a sentence goes anywhere.
func (r *reporter) takesEvents() bool { return r.hear != nil || r.ndjson }

// takesStatus reports whether a status line goes anywhere.
func (r *reporter) takesStatus() bool { return r.hear != nil || r.live && !r.quiet && !r.ndjson }

// report tells one event.
func (r *reporter) report(e event) {
	if r.hear != nil && r.hear(e) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ndjson {
		_, _ = r.out.Write(e.line(r.now())) // a closed pipe ends the process by itself
		return
	}
	if e.data != "" {
		r.write(r.out, e.data)
	}
	switch {
	case e.say == "":
	case e.alert:
		r.write(r.err, "parley: "+e.say)
	case !r.quiet && (r.verbose || !e.detail):
		r.write(r.err, r.dim(e.say))
	}
}

// write writes a line, and remembers it for redraw.
func (r *reporter) write(to io.Writer, line string) {
	r.wipe()
	fmt.Fprintln(to, line)
	if isTerminal(to) {
		r.recent = append(r.recent[max(0, len(r.recent)+1-mostRecent):], line)
	}
}

// status draws a line over the one before, on a terminal; it stands until
// something else is said.
func (r *reporter) status(line string) {
	if r.hear != nil && r.hear(event{name: eventStatus, say: line}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.takesStatus() {
		return
	}
	r.wipe()
	fmt.Fprint(r.err, r.dim(line))
	r.drawn = true
}

// wipe removes the status line.
func (r *reporter) wipe() {
	if r.drawn {
		fmt.Fprint(r.err, "\r\x1b[K")
		r.drawn = false
	}
}

// clear removes the status line, before something else writes.
func (r *reporter) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wipe()
}

// say tells something that is no event of a call.
func (r *reporter) say(format string, a ...any) {
	if r.hear != nil && r.hear(event{say: fmt.Sprintf(format, a...)}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.quiet && !r.ndjson {
		r.write(r.err, r.dim(fmt.Sprintf(format, a...)))
	}
}

// warn tells something that a user should know even with --quiet.
func (r *reporter) warn(format string, a ...any) {
	if r.hear != nil && r.hear(event{name: eventWarning, say: fmt.Sprintf(format, a...)}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(r.err, "parley: "+fmt.Sprintf(format, a...))
}

// draw writes to a terminal what is no text, between two texts.
func (r *reporter) draw(out io.Writer, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = out.Write(b) // a terminal that is gone ends the process by itself
}

// redraw draws what clears the terminal, and then writes the latest lines of
// text again, so that they are not lost with it.
func (r *reporter) redraw(out io.Writer, b []byte, lines int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = out.Write(b)
	for _, line := range r.recent[max(0, len(r.recent)-lines):] {
		fmt.Fprintln(out, line)
	}
	r.drawn = false
}

func (r *reporter) dim(s string) string {
	if !r.colour {
		return s
	}
	return "\x1b[2m" + s + "\x1b[0m"
}

// line is the event as JSON.
func (e event) line(now time.Time) []byte {
	fields := []field{{"time", now.Format("2006-01-02T15:04:05.000Z07:00")}, {"event", e.name}}
	if e.peer != "" {
		fields = append(fields, field{"peer", e.peer})
	}
	fields = append(fields, e.fields...)
	return append([]byte(jsonSafe(object(fields))), '\n')
}

// object is the JSON of fields, in their order.
func object(fields []field) string {
	var b bytes.Buffer
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(value(f.key))
		b.WriteByte(':')
		b.WriteString(value(f.value))
	}
	return "{" + b.String() + "}"
}

// value is the JSON of one value.
func value(v any) string {
	switch v := v.(type) {
	case []field:
		return object(v)
	case [][]field:
		var b bytes.Buffer
		for i, o := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(object(o))
		}
		return "[" + b.String() + "]"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "null" // never: only strings, numbers and booleans come here
	}
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}

// isTerminal tells if w is a terminal that wants colour (https://no-color.org).
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func wantsColour(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

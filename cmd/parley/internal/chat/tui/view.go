package tui

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Frame is what the screen shows.
type Frame struct {
	Content string // rows, divided by line ends
	X, Y    int    // of the cursor
}

const prompt = "> "

// View draws the state: a bar with who is there, the conversation, a line with
// what goes on, and the line that is typed.
func (s *State) View() Frame {
	typed, x := s.typed()
	rows := []string{typed}
	if s.rows >= 2 {
		rows = append([]string{fit(s.status(), s.columns)}, rows...)
	}
	if s.rows >= 3 {
		all := s.tail(s.scroll + s.page())
		end := max(len(all)-s.scroll, 0)
		shown := all[max(end-s.page(), 0):end]
		blank := make([]string, s.page()-len(shown))
		rows = append(append([]string{fit(s.bar(), s.columns)}, append(shown, blank...)...), rows...)
	}
	return Frame{strings.Join(rows, "\n"), x, len(rows) - 1}
}

// page is how many rows the conversation has.
func (s *State) page() int { return max(s.rows-3, 0) }

// fit cuts a row that would not fit.
func fit(row string, columns int) string { return ansi.Truncate(row, columns, "…") }

func bold(s string) string     { return "\x1b[1m" + s + "\x1b[0m" }
func dim(s string) string      { return "\x1b[2m" + s + "\x1b[0m" }
func inverted(s string) string { return "\x1b[7m" + s + "\x1b[0m" }
func red(s string) string      { return "\x1b[31m" + s + "\x1b[0m" }

// coloured is a name in the colour that it always has.
func coloured(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return fmt.Sprintf("\x1b[1;%dm%s\x1b[0m", 32+h.Sum32()%5, name)
}

// mark says without colour how the call with somebody stands.
func (p Phase) mark() string {
	return map[Phase]string{Apart: "", Calling: "…", Connected: "*", Disconnected: "?"}[p]
}

// bar lists who is there: the one who is shown stands in brackets, a star is a
// call, a number what was not read.
func (s *State) bar() string {
	bar := "parley"
	if s.Me != "" {
		bar = s.oneRow(s.Me)
	}
	if s.unserved {
		bar += " (server lost)"
	}
	bar = dim(bar + " │")
	for i := range s.talks {
		t := &s.talks[i]
		if i == 0 {
			continue
		}
		name := s.oneRow(t.peer) + t.phase.mark()
		if t.unread > 0 {
			name += fmt.Sprintf(" (%d)", t.unread)
		}
		if s.question(t.peer) >= 0 {
			name += " !"
		}
		if i == s.at {
			name = bold("[" + name + "]")
		}
		bar += " " + name
	}
	return bar
}

// status is what goes on: a question first.
func (s *State) status() string {
	t := &s.talks[s.at]
	name := s.oneRow(t.peer)
	switch q := s.pending(); {
	case len(s.offered) > 0:
		return strings.Join(s.offered, "  ")
	case q >= 0:
		return inverted(strings.ReplaceAll(s.questions[q].Text, "\n", " ") + "  /accept or /decline")
	case s.scroll > 0:
		return dim(fmt.Sprintf("%d rows below; PageDown", s.scroll))
	case s.progress != "":
		return s.progress
	case s.at == 0:
		return dim("no call; /call NAME calls somebody, /help has more")
	case t.phase == Calling:
		return dim("calling " + name + "…" + waiting(len(t.unsent)))
	case t.phase == Connected:
		return dim("in a call with " + name)
	case t.phase == Disconnected:
		return red("nothing comes from " + name + ", waiting for it")
	}
	return dim("no call with " + name + "; /call begins one")
}

// waiting counts lines that are typed and not sent.
func waiting(lines int) string {
	switch lines {
	case 0:
		return ""
	case 1:
		return " 1 line waits"
	}
	return fmt.Sprintf(" %d lines wait", lines)
}

// oneRow is a name or a line for one row.
func (s *State) oneRow(text string) string {
	return strings.ReplaceAll(s.Clean(strings.ReplaceAll(text, "\n", " ")), "\n", " ")
}

// tail are the last rows of the conversation that is shown, n or some more if
// there are as many.
func (s *State) tail(n int) (rows []string) {
	t := &s.talks[s.at]
	for i := len(t.lines) - 1; i >= 0 && len(rows) < n; i-- {
		wrapped := strings.Split(ansi.Wrap(s.drawn(t, t.lines[i]), s.columns, ""), "\n")
		slices.Reverse(wrapped)
		rows = append(rows, wrapped...)
	}
	slices.Reverse(rows)
	return rows
}

func (s *State) drawn(t *talk, l line) string {
	switch l.kind {
	case theirs:
		return coloured(s.oneRow(t.peer)) + ": " + s.Clean(l.text)
	case mine:
		return bold("me") + ": " + s.Clean(l.text)
	case alert:
		return red("! " + s.Clean(l.text))
	}
	return dim("- " + s.Clean(l.text))
}

// typed is the row that is typed, scrolled so that the cursor is in it, and
// where the cursor is.
func (s *State) typed() (row string, x int) {
	room := max(s.columns-ansi.StringWidth(prompt)-1, 1)
	left, right := s.shown(s.edit.left), s.shown(s.edit.right)
	if w := ansi.StringWidth(left); w > room {
		left = ansi.TruncateLeft(left, w-room, "")
	}
	row = prompt + left
	x = ansi.StringWidth(row)
	return ansi.Truncate(row+right, s.columns, ""), min(x, s.columns-1)
}

// shown is a line being typed as one row.
func (s *State) shown(text string) string {
	return s.oneRow(strings.ReplaceAll(text, "\n", "↵"))
}

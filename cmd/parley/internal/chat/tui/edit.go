package tui

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// editor is the line that is being typed. The cursor is between left and right.
type editor struct {
	left, right string
	recalled    []string // lines that were entered
	back        int      // how many lines back, 0 for a new one
	draft       string   // the new one, while an old one is shown
}

func (e *editor) text() string { return e.left + e.right }

func (e *editor) set(text string) { e.left, e.right = text, "" }

// insert puts text in at the cursor. Line ends stay, for a paste has some.
func (e *editor) insert(text string) {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\t", " ").Replace(text)
	text = strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || r == unicode.ReplacementChar) {
			return -1
		}
		return r
	}, text)
	if len(e.left)+len(e.right)+len(text) <= maxEntry {
		e.left += text
	}
}

// take ends the line and keeps it to be recalled.
func (e *editor) take() string {
	text := e.text()
	e.set("")
	e.back, e.draft = 0, ""
	if n := len(e.recalled); text != "" && (n == 0 || e.recalled[n-1] != text) {
		e.recalled = append(e.recalled[max(0, n+1-maxRecalled):n:n], text)
	}
	return text
}

// recall shows the line that was entered n before the one that is shown.
func (e *editor) recall(n int) {
	if e.back == 0 {
		e.draft = e.text()
	}
	back := min(max(e.back+n, 0), len(e.recalled))
	if back == e.back {
		return
	}
	e.back = back
	if back == 0 {
		e.set(e.draft)
		return
	}
	e.set(e.recalled[len(e.recalled)-back])
}

// lastCluster is the length of the last character of s as people see them.
func lastCluster(s string) int {
	last := 0
	for s != "" {
		cluster, rest, _, _ := uniseg.FirstGraphemeClusterInString(s, -1)
		last, s = len(cluster), rest
	}
	return last
}

func firstCluster(s string) int {
	cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(s, -1)
	return len(cluster)
}

// lastWord is the length of the last word of s with the spaces after it.
func lastWord(s string) int {
	trimmed := strings.TrimRightFunc(s, unicode.IsSpace)
	return len(s) - (strings.LastIndexFunc(trimmed, unicode.IsSpace) + 1)
}

func firstWord(s string) int {
	trimmed := strings.TrimLeftFunc(s, unicode.IsSpace)
	if i := strings.IndexFunc(trimmed, unicode.IsSpace); i >= 0 {
		return len(s) - len(trimmed) + i
	}
	return len(s)
}

// move moves the cursor by n bytes.
func (e *editor) move(n int) {
	text, at := e.text(), len(e.left)+n
	e.left, e.right = text[:at], text[at:]
}

// key takes a key for the line; false if it is for something else.
func (e *editor) key(k Key) bool {
	switch k.Name {
	case "left", "ctrl+b":
		e.move(-lastCluster(e.left))
	case "right", "ctrl+f":
		e.move(firstCluster(e.right))
	case "home", "ctrl+a":
		e.move(-len(e.left))
	case "end", "ctrl+e":
		e.move(len(e.right))
	case "alt+left", "alt+b", "ctrl+left":
		e.move(-lastWord(e.left))
	case "alt+right", "alt+f", "ctrl+right":
		e.move(firstWord(e.right))
	case "backspace", "ctrl+h":
		e.left = e.left[:len(e.left)-lastCluster(e.left)]
	case "delete":
		e.right = e.right[firstCluster(e.right):]
	case "ctrl+w", "alt+backspace":
		e.left = e.left[:len(e.left)-lastWord(e.left)]
	case "ctrl+u":
		e.left = ""
	case "ctrl+k":
		e.right = ""
	case "up":
		e.recall(1)
	case "down":
		e.recall(-1)
	default:
		if k.Text == "" {
			return false
		}
		e.insert(k.Text)
	}
	return true
}

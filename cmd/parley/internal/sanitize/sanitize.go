// Package sanitize escapes untrusted text for a terminal.
package sanitize

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns text that is safe to print on one line of a terminal. Control characters, line
// separators and bidirectional controls are written as \xNN or \u{N}, and bytes that are not UTF-8
// as \xNN. All other text is unchanged, with the joiners and spaces that scripts need.
func Text(s string) string {
	return escape(s, func(r rune) string {
		if r < utf8.RuneSelf {
			return fmt.Sprintf(`\x%02x`, r)
		}
		return fmt.Sprintf(`\u{%x}`, r)
	})
}

// Lines returns text of several lines that is safe to print on a terminal. The lines after the
// first are indented, so that none of them can be mistaken for a line of this program.
func Lines(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = Text(strings.ReplaceAll(line, "\t", "    "))
	}
	return strings.Join(lines, "\n    ")
}

// JSON returns an equal JSON text that is safe to print on a terminal: JSON itself does not escape
// C1 and bidirectional controls.
func JSON(json string) string {
	return escape(json, func(r rune) string { return fmt.Sprintf(`\u%04x`, r) })
}

// escape replaces each unsafe rune by what replacement returns for it, and each byte that is not
// UTF-8.
func escape(s string, replacement func(rune) string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, isUnsafe) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !isUnsafe(r):
			b.WriteString(s[:size])
		default:
			b.WriteString(replacement(r))
		}
		s = s[size:]
	}
	return b.String()
}

// isUnsafe reports whether a terminal obeys a rune: C0 and C1 controls, line and paragraph
// separators, and the embeddings, overrides and isolates of UAX #9.
func isUnsafe(r rune) bool {
	switch {
	case r == '\u2028', r == '\u2029', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return true
	}
	return unicode.IsControl(r)
}

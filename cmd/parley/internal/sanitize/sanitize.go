// Package sanitize escapes untrusted text for a terminal.
package sanitize

import (
	"fmt"
	"strings"
	"unicode"
)

// Text returns text that is safe to print on one line of a terminal. Runes that are not printable,
// such as escape sequences and bidirectional controls, are written as \xNN or \u{N}.
func Text(s string) string {
	return escape(s, func(r rune) string {
		if unicode.IsPrint(r) {
			return ""
		}
		if r < 0x80 {
			return fmt.Sprintf(`\x%02x`, r)
		}
		return fmt.Sprintf(`\u{%x}`, r)
	})
}

// Lines returns text of several lines that is safe to print on a terminal. The lines after the first
// are indented, so that none of them can be mistaken for a line of this program.
func Lines(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(Text(strings.ReplaceAll(line, "\t", "    ")), "\n", "")
	}
	return strings.Join(lines, "\n    ")
}

// JSON returns an equal JSON text that is safe to print on a terminal: JSON itself does not escape
// C1 and bidirectional controls.
func JSON(json string) string {
	return escape(json, func(r rune) string {
		switch {
		case unicode.IsPrint(r):
			return ""
		case r > 0xffff:
			r -= 0x10000
			return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// escape replaces each rune by what replacement returns for it, unless that is "".
func escape(s string, replacement func(rune) string) string {
	var b strings.Builder
	for _, r := range s {
		if e := replacement(r); e != "" {
			b.WriteString(e)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

package main

import (
	"fmt"
	"strings"
	"unicode"
)

// printable makes text of a stranger safe for a terminal: what is not printed
// as itself, escape sequences and bidirectional controls above all, is shown as
// its number.
func printable(s string) string {
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

// paragraph is printable, with the lines after the first indented, so that no
// line of a text can pass for one of ours.
func paragraph(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(printable(strings.ReplaceAll(line, "\t", "    ")), "\n", "")
	}
	return strings.Join(lines, "\n    ")
}

// jsonSafe makes the text of a JSON value safe for a terminal: JSON lets C1 and
// bidirectional controls through.
func jsonSafe(json string) string {
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

// escape replaces runes by what with returns for them, if not "".
func escape(s string, with func(rune) string) string {
	var b strings.Builder
	for _, r := range s {
		if e := with(r); e != "" {
			b.WriteString(e)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

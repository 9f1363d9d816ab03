package signal

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the length of the longest name in bytes.
const MaxName = 64

// CheckName returns why name is invalid. A name is 1 to 64 bytes of valid UTF-8, printable, without control
// characters and without the characters that turn the direction of text, which would let one name pass for another on a screen.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("the name has %d bytes; at most %d are allowed", len(name), MaxName)
	case !utf8.ValidString(name):
		return errors.New("the name is not valid UTF-8")
	case strings.ContainsFunc(name, unprintable):
		return errors.New("the name has a character that cannot be shown")
	}
	return nil
}

// unprintable reports control, format (among them all bidirectional controls), private and unassigned characters, line
// separators, and U+FFFD: JavaScript's lone surrogates all become that one, so distinct names would collide.
func unprintable(r rune) bool {
	return r == utf8.RuneError || !unicode.IsPrint(r)
}

// Printable returns received text cut to MaxText bytes, with U+FFFD in place of unprintable characters.
func Printable(text string) string {
	if len(text) > MaxText {
		text = Truncate(text, MaxText)
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// Truncate returns the first n bytes of s at most, without a part of a rune.
func Truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

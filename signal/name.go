package signal

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

// MaxName is the length of the longest name in bytes.
const MaxName = 64

// userpart is the profile UsernameCasePreserved (RFC 8265, section 3.4) on the FreeformClass,
// without the Bidi Rule, which the package would apply to text that has no right-to-left
// characters, too.
var userpart = precis.NewFreeform(precis.FoldWidth, precis.Norm(norm.NFC))

// CheckName returns nil if name is a valid name to log in with at Parley's server, and else an
// error that says what is wrong with it.
//
// A name has 1 to 64 bytes of UTF-8 and consists of parts that are separated by single spaces. A
// part follows the PRECIS profile UsernameCasePreserved (RFC 8265, section 3.4): it is in
// normalization form C, and has no full-width or compatibility characters, no control, format or
// invisible ones, and no order of characters that is against the Bidi Rule. There are two
// deviations, because the original pages let users type any text. Spaces inside a name are allowed,
// as in "Gandalf the Grey"; RFC 8265, section 3.5, leaves that to the application. A part may also
// have the symbols and the punctuation of the FreeformClass (RFC 8264, section 4.3), such as emoji
// and quotation marks.
//
// CheckName does not change a name. A name is valid only if it is what the profile makes of it,
// so that two valid names that look alike differ in their letters: the profile does not compare
// scripts.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("the name has %d bytes; at most %d are allowed", len(name), MaxName)
	case name[0] == ' ' || name[len(name)-1] == ' ':
		return errors.New("the name begins or ends with a space")
	case strings.Contains(name, "  "):
		return errors.New("the name has two spaces in a row")
	case isPrintableASCII(name):
		return nil
	case !utf8.ValidString(name):
		return errors.New("the name is not valid UTF-8")
	}
	for part := range strings.SplitSeq(name, " ") {
		if err := checkUserpart(part); err != nil {
			return err
		}
	}
	return nil
}

// CheckPeerName returns nil if name may be the name of a peer at any server, and else an error that
// says what is wrong with it. The original servers accept every name, so a peer's name has only
// what can be shown and sent: 1 to 64 bytes of printable UTF-8.
func CheckPeerName(name string) error {
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

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func checkUserpart(part string) error {
	first, _ := utf8.DecodeRuneInString(part)
	switch {
	case strings.ContainsFunc(part, invisible):
		return errors.New("the name has a character that cannot be shown")
	case unicode.IsMark(first):
		return errors.New("the name has a combining character without a letter before it")
	case !norm.NFC.IsNormalString(part):
		return fmt.Errorf("the name is not in normalization form C; write %q", norm.NFC.String(part))
	case !norm.NFKC.IsNormalString(part):
		return fmt.Errorf("the name has a compatibility character; write %q", norm.NFKC.String(part))
	}
	if enforced, err := userpart.String(part); err != nil || enforced != part {
		return errors.New("the name has a character that is not allowed there (RFC 8264)")
	}
	if bidirule.DirectionString(part) == bidi.RightToLeft && !bidirule.ValidString(part) {
		return errors.New("the name is not valid right-to-left text (RFC 5893, section 2)")
	}
	return nil
}

// invisible reports what unprintable reports, and symbols and letters that leave no mark on a
// screen.
func invisible(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u3164', '\uffa0', // Hangul fillers
		'\u2800',     // Braille pattern blank
		'\ufffc',     // object replacement character
		'\U0001d159': // musical symbol null notehead
		return true
	}
	return unprintable(r) || unicode.Is(unicode.Variation_Selector, r)
}

// unprintable reports control, format (among them all bidirectional controls), private and
// unassigned characters, line separators, and U+FFFD: JavaScript's lone surrogates all become that
// one, so distinct names would collide.
func unprintable(r rune) bool {
	return r == utf8.RuneError || !unicode.IsPrint(r)
}

// Printable returns received text cut to MaxText bytes, with U+FFFD in place of bytes that are not
// UTF-8, control characters, line and paragraph separators, and the embeddings, overrides and
// isolates of UAX #9. All other text is unchanged, with the joiners and spaces that scripts need.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return utf8.RuneError
		}
		return r
	}, Truncate(text, MaxText))
}

// PrintableURL returns a text that should be a URL as Printable does, with three asterisks in place
// of a user, a password and a query, which may be secrets.
func PrintableURL(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		scheme := ""
		if before, _, ok := strings.Cut(text[:at], "://"); ok {
			scheme = before + "://"
		}
		text = scheme + "***" + text[at:]
	}
	if before, _, ok := strings.Cut(text, "?"); ok {
		text = before + "?***"
	}
	return Printable(text)
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

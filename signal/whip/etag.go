package whip

import (
	"fmt"
	"strings"

	"parley/signal"
)

// ParseETag returns the text between the quotes of an entity tag (RFC 9110 section 8.8.3), and
// whether the tag is weak. RFC 9725 section 4.3.1 wants a strong one.
func ParseETag(s string) (tag string, weak bool, err error) {
	t, weak := strings.CutPrefix(s, "W/")
	if len(s) > MaxETag {
		return "", false, fmt.Errorf("invalid ETag: got %d bytes, want at most %d", len(s), MaxETag)
	}
	if len(t) < 2 || t[0] != '"' || t[len(t)-1] != '"' || !isTag(t[1:len(t)-1]) {
		return "", false, fmt.Errorf("invalid ETag %q: want a text in quotes (RFC 9110 section 8.8.3)", signal.Printable(s))
	}
	return t[1 : len(t)-1], weak, nil
}

// FormatETag returns the strong entity tag with this text.
func FormatETag(tag string) string { return `"` + tag + `"` }

// isTag reports whether a text consists of what an entity tag may have between its quotes. Bytes
// beyond ASCII are not accepted.
func isTag(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '"' || s[i] > '~' {
			return false
		}
	}
	return true
}

// An IfMatch is the condition of an If-Match header field (RFC 9110 section 13.1.1).
type IfMatch struct {
	Any  bool     // the field is *, which an ICE restart has (section 4.3.3)
	Tags []string // of strong entity tags, without quotes
}

// Matches reports whether the condition holds for a strong entity tag, without quotes.
func (m IfMatch) Matches(tag string) bool {
	if m.Any {
		return true
	}
	for _, t := range m.Tags {
		if t == tag {
			return true
		}
	}
	return false
}

// ParseIfMatch reads the values of If-Match header fields. "*" in quotes is read as *, because
// WHIP clients write it so after an example of RFC 9725. Weak tags match nothing.
func ParseIfMatch(values []string) (IfMatch, error) {
	var m IfMatch
	all := strings.TrimSpace(strings.Join(values, ","))
	switch {
	case len(all) > 4*MaxETag:
		return m, fmt.Errorf("invalid If-Match: got %d bytes, want at most %d", len(all), 4*MaxETag)
	case all == "*" || all == `"*"`:
		return IfMatch{Any: true}, nil
	}
	found := false
	for rest := all; ; {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		strong, weak := strings.CutPrefix(rest, "W/")
		if strong[:min(1, len(strong))] != `"` {
			return m, errIfMatch(all)
		}
		end := strings.IndexByte(strong[1:], '"')
		if end < 0 || !isTag(strong[1:1+end]) {
			return m, errIfMatch(all)
		}
		if found = true; !weak {
			m.Tags = append(m.Tags, strong[1:1+end])
		}
		rest = strings.TrimLeft(strong[end+2:], " \t")
		if rest != "" && rest[0] != ',' {
			return m, errIfMatch(all)
		}
	}
	if !found {
		return m, errIfMatch(all)
	}
	return m, nil
}

func errIfMatch(s string) error {
	return fmt.Errorf("invalid If-Match %q: want * or entity tags in quotes (RFC 9110 section 13.1.1)", signal.Printable(s))
}

package signal

import "fmt"

// Dialect names one of the two languages spoken on the wire; the package comment specifies both.
type Dialect string

const (
	// DialectCall is the language of the video and text pages: login, offer, answer, candidate, leave.
	DialectCall Dialect = "call"
	// DialectRelay is the language of the hello-world page: init and send, with no reply and no sender.
	DialectRelay Dialect = "relay"
)

// ParseDialect returns the dialect of that name; the empty name is DialectCall.
func ParseDialect(name string) (Dialect, error) {
	switch d := Dialect(name); d {
	case "":
		return DialectCall, nil
	case DialectCall, DialectRelay:
		return d, nil
	}
	return "", fmt.Errorf("there is no dialect %q: use %q or %q", name, DialectCall, DialectRelay)
}

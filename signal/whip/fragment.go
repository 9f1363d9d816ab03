package whip

import (
	"errors"
	"fmt"
	"strings"

	"parley/signal"
)

// A Fragment is an SDP fragment (RFC 8840 section 9): candidates of a client, and new ICE
// credentials where ICE is restarted.
type Fragment struct {
	Ufrag, Pwd string // of the ICE session, "" where the fragment has none
	Kind, Mid  string // of the m-section that has them, as in RFC 9725; "" if they stand before the first one
	Candidates []Candidate
	End        bool // there are no further candidates
}

// A Candidate is one line a=candidate of a Fragment.
type Candidate struct {
	Kind string // of the m-section, such as audio
	Mid  string // of the m-section, any token (RFC 5888); "" if it has none or the line stands before the first one
	Line string // without a=, such as candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host
}

// Bounds of the parts of a fragment.
const (
	maxFragmentLine = signal.MaxCandidate
	maxCredential   = 256 // RFC 8839 section 5.4
	maxMid          = 64
)

// ParseFragment reads an SDP fragment. Lines that neither it nor RFC 8840 knows are ignored, with
// the end of lines of any kind. A candidate is not parsed: one that its ICE agent cannot use is to
// be dropped, and does not make the fragment invalid.
func ParseFragment(text string) (*Fragment, error) {
	if len(text) > MaxFragment {
		return nil, fmt.Errorf("invalid SDP fragment: got %d bytes, want at most %d", len(text), MaxFragment)
	}
	f := &Fragment{}
	var kind, mid string
	section := 0    // index of its first candidate
	inside := false // the current m-section has the ICE credentials
	known := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if len(line) > maxFragmentLine {
			return nil, fmt.Errorf("invalid SDP fragment: got a line of %d bytes, want at most %d", len(line), maxFragmentLine)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(line) < 2 || line[1] != '=' {
			return nil, fmt.Errorf("invalid SDP fragment: got the line %q", signal.Printable(line))
		}
		name, value, _ := strings.Cut(line[2:], ":")
		switch {
		case line[0] == 'm':
			kind, _, _ = strings.Cut(line[2:], " ")
			if mid, section, inside = "", len(f.Candidates), false; kind == "" || len(kind) > maxMid || tokenLength(kind) != len(kind) {
				return nil, fmt.Errorf("invalid SDP fragment: got the line %q", signal.Printable(line))
			}
		case line[0] != 'a':
		case name == "mid" && kind == "": // of no m-section
		case name == "mid":
			if value == "" || len(value) > maxMid || tokenLength(value) != len(value) {
				return nil, fmt.Errorf("invalid SDP fragment: got the mid %q", signal.Printable(value))
			}
			mid = value
			for i := range f.Candidates[section:] { // the attributes of an m-section have no order
				f.Candidates[section+i].Mid = mid
			}
			if inside {
				f.Mid = mid
			}
		case name == "ice-ufrag":
			if known = true; f.Ufrag == "" {
				f.Kind, f.Mid, inside = kind, mid, kind != ""
			}
			if err := f.setCredential(&f.Ufrag, value, 4); err != nil {
				return nil, err
			}
		case name == "ice-pwd":
			known = true
			if err := f.setCredential(&f.Pwd, value, 22); err != nil {
				return nil, err
			}
		case name == "candidate":
			known = true
			if f.Candidates = append(f.Candidates, Candidate{kind, mid, line[2:]}); len(f.Candidates) > MaxCandidates {
				return nil, fmt.Errorf("invalid SDP fragment: got more than %d candidates", MaxCandidates)
			}
		case name == "end-of-candidates":
			known, f.End = true, true
		}
	}
	switch {
	case !known:
		return nil, errors.New("invalid SDP fragment: has neither candidates nor ICE credentials")
	case f.Pwd != "" && f.Ufrag == "":
		return nil, errors.New("invalid SDP fragment: has ice-pwd and no ice-ufrag")
	}
	return f, nil
}

// setCredential sets the ICE user name fragment or password. All m-sections of a bundle have the
// same.
func (f *Fragment) setCredential(to *string, value string, shortest int) error {
	for i := range len(value) {
		c := value[i]
		// ice-char; and - _ =, which some implementations use.
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("+/-_=", c) >= 0) {
			return fmt.Errorf("invalid SDP fragment: got the ICE credential %q", signal.Printable(value))
		}
	}
	switch {
	case len(value) < shortest || len(value) > maxCredential:
		return fmt.Errorf("invalid SDP fragment: got an ICE credential of %d characters, want %d to %d", len(value), shortest, maxCredential)
	case *to != "" && *to != value:
		return errors.New("invalid SDP fragment: its m-sections have different ICE credentials")
	}
	*to = value
	return nil
}

// String returns the fragment as it is sent. Candidates of one m-section stand together.
func (f *Fragment) String() string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	kind, mid, inside := "", "", false
	begin := func(k, m string) {
		if k == "" || inside && k == kind && m == mid {
			return
		}
		kind, mid, inside = k, m, true
		line("m=%s 9 UDP/TLS/RTP/SAVPF 0", kind)
		if mid != "" {
			line("a=mid:%s", mid)
		}
	}
	rest := f.Candidates
	for len(rest) > 0 && rest[0].Kind == "" {
		line("a=%s", rest[0].Line)
		rest = rest[1:]
	}
	if f.Ufrag != "" {
		begin(f.Kind, f.Mid)
		line("a=ice-ufrag:%s", f.Ufrag)
	}
	if f.Pwd != "" {
		line("a=ice-pwd:%s", f.Pwd)
	}
	for _, c := range rest {
		begin(c.Kind, c.Mid)
		line("a=%s", c.Line)
	}
	if f.End {
		line("a=end-of-candidates")
	}
	return b.String()
}

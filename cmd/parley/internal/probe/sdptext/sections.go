// Package sdptext edits session descriptions as text, so that a test can send what no parser
// writes.
package sdptext

import "strings"

// A Section is a media section of a description, or the session part before the first one.
type Section struct {
	Kind, Port, Protocol string
	Formats              []string
	Lines                []string // with the m= line, without line ends
}

// Parse returns the sections of a description. The first one is the session part, whose Kind is "".
func Parse(sdp string) []Section {
	all := []Section{{}}
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if m, ok := strings.CutPrefix(line, "m="); ok {
			s := Section{}
			if f := strings.Fields(m); len(f) > 3 {
				s.Kind, s.Port, s.Protocol, s.Formats = f[0], f[1], f[2], f[3:]
			}
			all = append(all, s)
		}
		last := &all[len(all)-1]
		last.Lines = append(last.Lines, line)
	}
	return all
}

// Values returns the values of an attribute, "" for each one without a value.
func (s Section) Values(name string) []string {
	var all []string
	for _, line := range s.Lines {
		if line == "a="+name {
			all = append(all, "")
		} else if v, ok := strings.CutPrefix(line, "a="+name+":"); ok {
			all = append(all, v)
		}
	}
	return all
}

// Has reports whether a section has an attribute.
func (s Section) Has(name string) bool { return len(s.Values(name)) > 0 }

// Attribute returns the first value of an attribute in a description, "" for none.
func Attribute(sdp, name string) string {
	for line := range strings.Lines(sdp) {
		if v, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "a="+name+":"); ok {
			return v
		}
	}
	return ""
}

// Format returns the description with these sections.
func Format(all []Section) string {
	var b strings.Builder
	for _, s := range all {
		for _, line := range s.Lines {
			b.WriteString(line + "\r\n")
		}
	}
	return b.String()
}

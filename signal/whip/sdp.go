package whip

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"

	"parley/signal"
)

// parseSDP reads a session description that has an m-section.
func parseSDP(text string) (*sdp.SessionDescription, error) {
	var d sdp.SessionDescription
	switch err := d.UnmarshalString(text); {
	case len(text) > MaxSDP:
		return nil, fmt.Errorf("invalid SDP: got %d bytes, want at most %d", len(text), MaxSDP)
	case err != nil:
		return nil, fmt.Errorf("invalid SDP: %s", signal.Printable(err.Error()))
	case len(d.MediaDescriptions) == 0:
		return nil, errors.New("invalid SDP: has no m-section")
	}
	return &d, nil
}

// EndLine returns a description with the end of its last line, which some clients and servers trim.
func EndLine(description string) string {
	if description == "" || strings.HasSuffix(description, "\n") {
		return description
	}
	return description + "\r\n"
}

func formatSDP(d *sdp.SessionDescription) (string, error) {
	text, err := d.Marshal()
	return string(text), err
}

// bundled returns the m-section that carries the transport of all of them (RFC 9143 section 7.2):
// that of the first mid in the group BUNDLE, or the first one.
func bundled(d *sdp.SessionDescription) *sdp.MediaDescription {
	for _, a := range d.Attributes {
		if tag, ok := strings.CutPrefix(a.Value, "BUNDLE "); ok && a.Key == "group" {
			first, _, _ := strings.Cut(tag, " ")
			for _, m := range d.MediaDescriptions {
				if mid, _ := m.Attribute("mid"); mid == first {
					return m
				}
			}
		}
	}
	return d.MediaDescriptions[0]
}

// FragmentOf returns the transport of a description: the ICE credentials and candidates of its
// bundle.
func FragmentOf(description string) (*Fragment, error) {
	d, err := parseSDP(description)
	if err != nil {
		return nil, err
	}
	m := bundled(d)
	mid, _ := m.Attribute("mid")
	f := &Fragment{Kind: m.MediaName.Media, Mid: mid}
	attribute := func(key string) string {
		if value, ok := m.Attribute(key); ok {
			return value
		}
		value, _ := d.Attribute(key)
		return value
	}
	f.Ufrag, f.Pwd = attribute("ice-ufrag"), attribute("ice-pwd")
	for _, a := range m.Attributes {
		switch a.Key {
		case "candidate":
			f.Candidates = append(f.Candidates, Candidate{m.MediaName.Media, mid, "candidate:" + a.Value})
		case "end-of-candidates":
			f.End = true
		}
	}
	return f, nil
}

// Describe returns a description with the candidates of a fragment in its bundle, beside those that
// it has. If the fragment has ICE credentials, they replace those of the description, and its
// candidates those of all m-sections, unless it has none: a server that restarts ICE may leave out
// candidates that stay.
func (f *Fragment) Describe(description string) (string, error) {
	d, err := parseSDP(description)
	if err != nil {
		return "", err
	}
	if f.Ufrag != "" {
		replaceICE(&d.Attributes, f)
		for _, m := range d.MediaDescriptions {
			replaceICE(&m.Attributes, f)
		}
	}
	m := bundled(d)
	for _, c := range f.Candidates {
		value, _ := strings.CutPrefix(c.Line, "candidate:")
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "candidate", Value: value})
	}
	if _, ended := m.Attribute("end-of-candidates"); f.End && !ended {
		m.Attributes = append(m.Attributes, sdp.Attribute{Key: "end-of-candidates"})
	}
	return formatSDP(d)
}

// replaceICE replaces ICE credentials where there are some, and removes candidates that a fragment
// replaces.
func replaceICE(attributes *[]sdp.Attribute, f *Fragment) {
	*attributes = slices.DeleteFunc(*attributes, func(a sdp.Attribute) bool {
		return len(f.Candidates) > 0 && (a.Key == "candidate" || a.Key == "end-of-candidates")
	})
	for i := range *attributes {
		switch a := &(*attributes)[i]; a.Key {
		case "ice-ufrag":
			a.Value = f.Ufrag
		case "ice-pwd":
			a.Value = f.Pwd
		}
	}
}

// MuxOnly returns an offer that takes RTCP only on the port of RTP (RFC 8858), as section 4.4 wants
// it.
func MuxOnly(offer string) (string, error) {
	d, err := parseSDP(offer)
	if err != nil {
		return "", err
	}
	for _, m := range d.MediaDescriptions {
		_, mux := m.Attribute("rtcp-mux")
		if _, only := m.Attribute("rtcp-mux-only"); mux && !only {
			m.Attributes = append(m.Attributes, sdp.Attribute{Key: "rtcp-mux-only"})
		}
	}
	return formatSDP(d)
}

// IsOffer reports whether a description can be an offer only, because its DTLS role is open (RFC
// 8842 section 5.3): a counter-offer of a WHEP server, which some send with 201 in place of an
// answer.
func IsOffer(description string) bool { return strings.Contains(description, "a=setup:actpass") }

package jsep

import (
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// SetICECredentials gives a description other ICE credentials, which restarts ICE (RFC 8839 section
// 4.4.1.1.1), and removes the candidates, which are those of the session before.
func SetICECredentials(d *sdp.SessionDescription, ufrag, pwd string) {
	edit := func(attributes []sdp.Attribute) (kept []sdp.Attribute) {
		for _, a := range attributes {
			switch a.Key {
			case "candidate", "end-of-candidates":
				continue
			case "ice-ufrag":
				a.Value = ufrag
			case "ice-pwd":
				a.Value = pwd
			}
			kept = append(kept, a)
		}
		return kept
	}
	d.Attributes = edit(d.Attributes)
	for _, m := range d.MediaDescriptions {
		m.Attributes = edit(m.Attributes)
	}
}

// Owns reports whether a candidate names the ICE session of the description, by its username
// fragment.
func (d *Description) Owns(c webrtc.ICECandidateInit) bool {
	ufrag := ""
	if c.UsernameFragment != nil {
		ufrag = *c.UsernameFragment
	}
	if words := strings.Fields(c.Candidate); ufrag == "" {
		for i, word := range words[:max(len(words)-1, 0)] {
			if word == "ufrag" {
				ufrag = words[i+1]
			}
		}
	}
	if ufrag == "" {
		return false
	}
	for _, m := range d.sdp.MediaDescriptions {
		if v, ok := m.Attribute("ice-ufrag"); ok && v == ufrag {
			return true
		}
	}
	v, ok := d.sdp.Attribute("ice-ufrag")
	return ok && v == ufrag
}

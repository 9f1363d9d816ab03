package jsep

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"parley/peer/internal/msection"
)

// CheckAnswer reports why an answer does not fit the offer that it is for (RFC 3264 section 6, RFC
// 9429 section 5.11): it has the same m-sections in the same order, with the same mids, media and
// protocols; it rejects those that were not offered; and it chooses a DTLS role. What Pion would
// make of another answer is not defined.
func CheckAnswer(offer *sdp.SessionDescription, answer *Description) error {
	if answer.Setup == "actpass" {
		return errors.New("invalid answer: a=setup:actpass leaves the DTLS role open, as only an offer may")
	}
	if got, want := len(answer.Sections), len(offer.MediaDescriptions); got != want {
		return fmt.Errorf("invalid answer: it has %d m-sections, the offer has %d", got, want)
	}
	for i, s := range answer.Sections {
		m, offered := answer.sdp.MediaDescriptions[i], offer.MediaDescriptions[i]
		if got, want := m.MediaName.Media, offered.MediaName.Media; got != want {
			return fmt.Errorf("invalid answer: m-section %d is %.20q, the offer has %q", i+1, got, want)
		}
		if want := msection.Mid(offered); s.Mid != want && !s.unnamed {
			return fmt.Errorf("invalid answer: m-section %d has the mid %.20q, the offer has %q", i+1, s.Mid, want)
		}
		if msection.IsRejected(m) {
			continue
		}
		if msection.IsRejected(offered) {
			return fmt.Errorf("invalid answer: m-section %d is accepted, and was not offered (port 0)", i+1)
		}
		if got, want := msection.Profile(m), msection.Profile(offered); got != want {
			return fmt.Errorf("invalid answer: m-section %d has the protocol %.40q, the offer has %q", i+1, got, want)
		}
		if setup, _ := m.Attribute("setup"); strings.TrimSpace(setup) == "actpass" {
			return fmt.Errorf("invalid answer: m-section %d leaves the DTLS role open (a=setup:actpass), as only an offer may", i+1)
		}
	}
	return nil
}

// checkMedia reports what is wrong with the RTP sections of a description that Pion would refuse
// half-way, in a state that nothing leads out of, or with an error that helps nobody.
func checkMedia(parsed *sdp.SessionDescription) error {
	for i, m := range parsed.MediaDescriptions {
		if m.MediaName.Media != "audio" && m.MediaName.Media != "video" {
			continue
		}
		for _, format := range m.MediaName.Formats {
			// Seven bits hold it (RFC 3550 section 5.1).
			if n, err := strconv.Atoi(format); err != nil || n < 0 || n > 127 {
				return fmt.Errorf("media section %d has the payload type %.20q; it is a number up to 127", i+1, format)
			}
		}
		for _, a := range m.Attributes {
			if a.Key == sdp.AttrKeyExtMap && !validExtension(a) {
				return fmt.Errorf("media section %d has the malformed header extension a=extmap:%.60q", i+1, a.Value)
			}
		}
		if msection.Tracks(m) > 1 {
			return fmt.Errorf("media section %d has several tracks, as in Plan B, which browsers gave up; "+
				"the peer has to offer a section for each (Unified Plan)", i+1)
		}
	}
	return nil
}

// validExtension reports whether Pion reads an extmap attribute, or the IDs 4096 to 4351, of which
// the answerer may choose another (RFC 8285 section 6), keep it from Pion.
func validExtension(a sdp.Attribute) bool {
	number, _, _ := strings.Cut(a.Value, " ")
	number, _, _ = strings.Cut(number, "/")
	id, err := strconv.Atoi(number)
	return err == nil && id >= 4096 && id <= 4351 || new(sdp.ExtMap).Unmarshal(a.String()) == nil
}

// maxReason is the length of a reason in bytes.
const maxReason = 200

// Printable returns a reason as it goes over the wire: one line of ASCII, and as it is safe to
// print.
func Printable(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, reason)
	return reason[:min(len(reason), maxReason)]
}

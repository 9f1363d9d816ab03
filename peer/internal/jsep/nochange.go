package jsep

import (
	"errors"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// NoChangeAnswer returns the answer to an offer that is rejected in a call that is up. SDP has no
// other way to reject an offer, and without an answer the peer could never offer anything again. So
// the sections in force are repeated as they are, and what is new is rejected (port 0, RFC 3264
// section 6). Every peer takes that for an answer, and the call stays as it was. current is the
// answerer's description in force; the error says why there is no such answer.
func NoChangeAnswer(current, offer *sdp.SessionDescription) (*sdp.SessionDescription, error) {
	if len(offer.MediaDescriptions) > MaxSections {
		return nil, errors.New("the offer has too many sections")
	}
	answer := clone(current)
	mids := map[string]string{} // of the current sections that stay, in the offer
	var sections []*sdp.MediaDescription
	for i, offered := range offer.MediaDescriptions {
		mid := midOf(offered)
		if i >= len(answer.MediaDescriptions) || !sameSection(answer.MediaDescriptions[i], offered) {
			sections = append(sections, rejectedSection(offered, mid))
			continue
		}
		section := answer.MediaDescriptions[i]
		mids[midOf(section)] = mid
		keepOffered(section, offered)
		answerProtocol(section, offered)
		left := answerDirection(directionOf(section, answer), directionOf(offered, offer))
		dropAttributes(section, func(a sdp.Attribute) bool { return a.Key == "mid" || isDirection(a) })
		section.WithValueAttribute("mid", mid)
		if !isData(section) {
			setDirection(section, left)
		}
		sections = append(sections, section)
	}
	if len(mids) == 0 {
		return nil, errors.New("the offer has none of the sections in force")
	}
	answer.MediaDescriptions = sections
	editBundles(answer, func(group []string) (kept []string) {
		for _, mid := range group {
			if name, ok := mids[mid]; ok {
				kept = append(kept, name)
			}
		}
		return kept
	})
	return answer, nil
}

// sameSection reports whether an offered section is the one that is in force. The section for data
// channels may have another mid, see WireOptions.DataMid.
func sameSection(current, offered *sdp.MediaDescription) bool {
	mid := midOf(offered)
	return current.MediaName.Media == offered.MediaName.Media && current.MediaName.Port.Value != 0 && mid != "" &&
		!rejected(offered) && (midOf(current) == mid || isData(current))
}

// keepOffered leaves in a section what is offered: the section may be of an offer itself, and
// Firefox takes no answer with a header extension or a codec that it has not offered.
func keepOffered(section, offered *sdp.MediaDescription) {
	word := func(value string, n int) string { return append(strings.Fields(value), "", "")[n] }
	extensions, formats := map[string]bool{}, []string{}
	for _, a := range offered.Attributes {
		if a.Key == sdp.AttrKeyExtMap {
			extensions[word(a.Value, 1)] = true
		}
	}
	for _, format := range section.MediaName.Formats {
		if slices.Contains(offered.MediaName.Formats, format) {
			formats = append(formats, format)
		}
	}
	if len(formats) == 0 {
		formats = section.MediaName.Formats
	}
	section.MediaName.Formats = formats
	dropAttributes(section, func(a sdp.Attribute) bool {
		switch a.Key {
		case sdp.AttrKeyExtMap:
			return !extensions[word(a.Value, 1)]
		case "rtpmap", "fmtp", "rtcp-fb":
			return !slices.Contains(formats, word(a.Value, 0)) && word(a.Value, 0) != "*"
		}
		return false
	})
}

// RestartsICE reports whether a description has other ICE credentials than the one of the same side
// before it; bundled reports that all sections have the same.
func RestartsICE(before, d *sdp.SessionDescription, bundled bool) bool {
	if bundled {
		return firstAttribute(d, "ice-ufrag") != firstAttribute(before, "ice-ufrag")
	}
	for i, m := range d.MediaDescriptions[:min(len(d.MediaDescriptions), len(before.MediaDescriptions))] {
		now, _ := m.Attribute("ice-ufrag")
		then, _ := before.MediaDescriptions[i].Attribute("ice-ufrag")
		if now != "" && then != "" && now != then {
			return true
		}
	}
	return false
}

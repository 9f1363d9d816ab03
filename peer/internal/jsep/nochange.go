package jsep

import (
	"errors"

	"github.com/pion/sdp/v3"

	"parley/peer/internal/msection"
)

// NoChangeAnswer returns the answer to an offer that is rejected in a call that is up. SDP has no
// other way to reject an offer, and without an answer the peer could never offer anything again. So
// the sections in force are repeated as they are, and what is new is rejected (port 0, RFC 3264
// section 6). Every peer takes that for an answer, and the call stays as it was. current is the
// answerer's description in force; the error says why there is no such answer.
func NoChangeAnswer(current, offer *sdp.SessionDescription) (*sdp.SessionDescription, error) {
	if len(offer.MediaDescriptions) > maxSections {
		return nil, errors.New("the offer has too many sections")
	}
	answer := clone(current)
	mids := map[string]string{} // of the current sections that stay, in the offer
	var sections []*sdp.MediaDescription
	for i, offered := range offer.MediaDescriptions {
		mid := msection.Mid(offered)
		if i >= len(answer.MediaDescriptions) || !sameSection(answer.MediaDescriptions[i], offered) {
			sections = append(sections, msection.NewRejected(offered, mid))
			continue
		}
		section := answer.MediaDescriptions[i]
		mids[msection.Mid(section)] = mid
		msection.KeepOffered(section, offered)
		msection.AnswerProtocol(section, offered)
		left := answerDirection(msection.Direction(section, answer), msection.Direction(offered, offer))
		msection.DropAttributes(section, func(a sdp.Attribute) bool { return a.Key == "mid" || msection.IsDirection(a) })
		section.WithValueAttribute("mid", mid)
		if !msection.IsData(section) {
			msection.SetDirection(section, left)
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
	mid := msection.Mid(offered)
	return current.MediaName.Media == offered.MediaName.Media && current.MediaName.Port.Value != 0 && mid != "" &&
		!msection.IsRejected(offered) && (msection.Mid(current) == mid || msection.IsData(current))
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

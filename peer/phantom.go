package peer

import (
	"slices"
	"strings"

	"github.com/pion/webrtc/v4"
)

// What comes before the description that would say what it is, in a call without
// MIDs, is heard by a transceiver that Pion makes when the first packet comes; all
// else that nobody declares, see undeclared.go. It would be one more section in our
// next offer, which is none of the call's.

// phantom tells if Pion has made a transceiver for what nobody had declared: it
// has a track to send that is not ours.
func (c *connection) phantom(t *webrtc.RTPTransceiver) bool {
	sender := t.Sender()
	return sender != nil && sender.Track() != nil && c.localTrackOf(t) == nil
}

// embodied is the transceiver of the section that a phantom receives for.
func (c *connection) embodied(phantom *webrtc.RTPTransceiver) *webrtc.RTPTransceiver {
	sends := func(mid string) bool {
		return slices.ContainsFunc(c.theirs, func(s Section) bool { return s.Mid == mid && !s.Rejected && s.Sends() })
	}
	for _, t := range c.pc.GetTransceivers() {
		if t.Kind() == phantom.Kind() && !c.phantom(t) && sends(t.Mid()) && t.Receiver().Track() == nil {
			return t
		}
	}
	return phantom
}

// withoutPhantoms is a description of ours without their sections.
func (c *connection) withoutPhantoms(text string) string {
	hidden := map[string]bool{}
	for _, t := range c.pc.GetTransceivers() {
		if c.phantom(t) && t.Mid() != "" {
			hidden[t.Mid()] = true
		}
	}
	if len(hidden) == 0 {
		return text
	}
	sections := strings.Split(text, "\r\nm=")
	for i := len(sections) - 1; i > 0; i-- {
		if hidden[attributeOf(sections[i], "mid")] {
			sections = slices.Delete(sections, i, i+1)
		}
	}
	lines := strings.Split(sections[0], "\r\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "a=group:BUNDLE") {
			lines[i] = strings.Join(slices.DeleteFunc(strings.Fields(line), func(mid string) bool { return hidden[mid] }), " ")
		}
	}
	sections[0] = strings.Join(lines, "\r\n")
	text = strings.Join(sections, "\r\nm=")
	return strings.TrimSuffix(text, "\r\n") + "\r\n"
}

package peer

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Who declares no SSRC in a description, as GStreamer's webrtcbin does in its
// offers and as RFC 9429 has it, is heard by a transceiver that Pion makes when
// the first packet comes. It would be one more section in our next offer, which is
// none of the call's.
//
// Pion finds the section by the type of the payload, unless MIDs were agreed to:
// then it goes by these, but only for packets that have a RID beside it. So
// somebody who could be meant is not agreed with about MIDs.

// undeclared tells if what the other side sends is to be told apart by nothing but
// payload types and MIDs, and may be by payload types: there is one stream of a kind.
func (d *Description) undeclared() bool {
	sending := map[webrtc.RTPCodecType]bool{}
	for _, s := range d.Sections {
		if s.Kind == 0 || s.Rejected || !s.Sends() {
			continue
		}
		_, ssrc := d.parsed.MediaDescriptions[s.Index].Attribute(sdp.AttrKeySSRC)
		_, rid := d.parsed.MediaDescriptions[s.Index].Attribute("rid")
		if ssrc || rid || sending[s.Kind] {
			return false
		}
		sending[s.Kind] = true
	}
	return len(sending) > 0
}

// withoutMIDs takes the header extension for MIDs (RFC 9143 §15) out of a
// description.
func withoutMIDs(parsed *sdp.SessionDescription) {
	isMID := func(a sdp.Attribute) bool {
		return a.Key == sdp.AttrKeyExtMap && strings.HasSuffix(a.Value, " "+sdp.SDESMidURI)
	}
	parsed.Attributes = slices.DeleteFunc(parsed.Attributes, isMID)
	for _, m := range parsed.MediaDescriptions {
		m.Attributes = slices.DeleteFunc(m.Attributes, isMID)
	}
}

// phantom tells if Pion has made a transceiver for what nobody had declared: it
// has a track to send that is not ours.
func (c *connection) phantom(t *webrtc.RTPTransceiver) bool {
	sender := t.Sender()
	return sender != nil && sender.Track() != nil && c.outgoingOf(t) == nil
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

package jsep

import (
	"slices"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/msection"
)

// PionOptions says how Pion is to get a description.
type PionOptions struct {
	// Later: it is an answer, or an offer that is not the first.
	Later bool
	// Synthetic remembers what is added for streams without a declared SSRC. It belongs to a
	// PeerConnection.
	Synthetic *Synthetic
	// WireDataMid is the mid of the data channels in the description and PionDataMid that in ours,
	// if they differ, see WireOptions.DataMid.
	WireDataMid, PionDataMid string
}

// ForPion returns the description for SetRemoteDescription, and what it says of the peer's streams.
func (d *Description) ForPion(o PionOptions) (string, Streams, error) {
	s := clone(d.sdp)
	for i, section := range d.Sections {
		if m := s.MediaDescriptions[i]; section.Kind != 0 {
			msection.SetDirection(m, section.Direction) // Pion leaves out a section without one
			for _, quirk := range sectionQuirks() {
				quirk(m)
			}
		}
	}
	o.Synthetic.name(s, d.Sections)
	streams := streamsOf(s, d.Sections)
	if o.Later {
		keepTransceivers(s, d.Sections)
	}
	renameMid(s, o.WireDataMid, o.PionDataMid)
	var shown []*sdp.MediaDescription
	for i, section := range d.Sections {
		if d.shown(section) {
			shown = append(shown, s.MediaDescriptions[i])
		}
	}
	s.MediaDescriptions = shown
	tagTransport(s, d.sdp)
	text, err := Marshal(s)
	return text, streams, err
}

// shown reports whether Pion gets a section. It knows audio, video and one section of data
// channels, the first: neither other media nor data channels that were rejected before it.
func (d *Description) shown(s Section) bool {
	return !s.unsupported && !(s.Data && s.Rejected && slices.ContainsFunc(d.Sections, func(other Section) bool { return other.Data && !other.Rejected }))
}

// tagTransport gives the first section of the bundle the ICE credentials, the fingerprint and the
// candidates if none but another section has them: Pion looks nowhere else.
func tagTransport(d, from *sdp.SessionDescription) {
	if _, ok := d.Attribute("ice-ufrag"); ok || len(d.MediaDescriptions) == 0 {
		return
	}
	tagged := d.MediaDescriptions[0]
	if groups := bundles(d); len(groups) > 0 {
		if m := sectionOf(d, groups[0][0]); m != nil {
			tagged = m
		}
	}
	if _, ok := tagged.Attribute("ice-ufrag"); ok {
		return
	}
	for _, m := range from.MediaDescriptions {
		if _, ok := m.Attribute("ice-ufrag"); !ok {
			continue
		}
		for _, a := range m.Attributes {
			if slices.Contains([]string{"ice-ufrag", "ice-pwd", "fingerprint", "setup", "candidate", "end-of-candidates"}, a.Key) {
				tagged.Attributes = append(tagged.Attributes, a)
			}
		}
		return
	}
}

// keepTransceivers hides from Pion that sections are on hold, because Pion stops a transceiver for
// good when a later offer makes it inactive, which is how a browser holds a call
// (pion/webrtc#2226). Sections on hold look as if the peer received; and those that name the source
// of a track that is not sent now as if it were, so that its receiver lives on. The answer says
// what is right, see answerDirection.
func keepTransceivers(d *sdp.SessionDescription, sections []Section) {
	for i, s := range sections {
		if s.Kind == 0 || s.Sends() {
			continue
		}
		m := d.MediaDescriptions[i]
		if _, declared := m.Attribute(sdp.AttrKeySSRC); declared || slices.Contains(m.Attributes, syntheticRID()) {
			msection.SetDirection(m, webrtc.RTPTransceiverDirectionSendrecv)
		} else {
			msection.SetDirection(m, webrtc.RTPTransceiverDirectionRecvonly)
		}
	}
}

// renameMid gives the section of one mid another, and its BUNDLE group too. Pion lets nobody name
// its section for data channels.
func renameMid(d *sdp.SessionDescription, from, to string) {
	if from == to || from == "" || to == "" {
		return
	}
	for _, m := range d.MediaDescriptions {
		for i, a := range m.Attributes {
			if a.Key == "mid" && a.Value == from {
				m.Attributes[i].Value = to
			}
		}
	}
	editBundles(d, func(mids []string) []string {
		for i, mid := range mids {
			if mid == from {
				mids[i] = to
			}
		}
		return mids
	})
}

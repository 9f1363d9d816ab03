package jsep

import (
	"slices"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
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
	o.Synthetic.name(s, d.Sections)
	streams := streamsOf(s, d.Sections)
	if o.Later {
		keepTransceivers(s, d.Sections)
	}
	renameMid(s, o.WireDataMid, o.PionDataMid)
	text, err := Marshal(s)
	return text, streams, err
}

// keepTransceivers hides from Pion that sections are on hold, because Pion stops a transceiver for
// good when a later offer makes it inactive, which is how a browser holds a call
// (pion/webrtc#2226). Sections on hold look as if the peer received; and those that name the source
// of a track that is not sent now as if it were, so that its receiver lives on. The answer says what
// is right, see answerDirection.
func keepTransceivers(d *sdp.SessionDescription, sections []Section) {
	for i, s := range sections {
		if s.Kind == 0 || s.Sends() {
			continue
		}
		m := d.MediaDescriptions[i]
		if _, declared := m.Attribute(sdp.AttrKeySSRC); declared || slices.Contains(m.Attributes, syntheticRID()) {
			setDirection(m, webrtc.RTPTransceiverDirectionSendrecv)
		} else {
			setDirection(m, webrtc.RTPTransceiverDirectionRecvonly)
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

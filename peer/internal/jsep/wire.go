package jsep

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/msection"
)

// WireOptions says how a description of ours goes over the wire.
type WireOptions struct {
	// Setup, if not "", is the DTLS role in use. Pion would answer a later offer with its default
	// role, and Chromium rejects a role that changes (RFC 8842 section 5.5, pion/webrtc#3552).
	Setup string
	// DataMid is the mid of the section for data channels, "" for Pion's.
	DataMid string
	// Offer is the offer that is answered, nil for an offer.
	Offer *Description
	// OnHold: media neither go nor come.
	OnHold bool
	// SendOnly: nothing is received.
	SendOnly bool
	// Paused are the mids of sections in which we do not send, and Removed of those the track of
	// which was removed.
	Paused, Removed map[string]bool
	// Hidden are the mids of sections that are not the call's: Pion makes a transceiver for each
	// stream that comes before its description.
	Hidden map[string]bool
	// Synthetic is that of PionOptions.
	Synthetic *Synthetic
}

// ToWire returns a description of Pion's as it is sent to the peer. Marshal writes it; in a call
// without BUNDLE, Layout.Merge puts several together first.
func ToWire(local string, o WireOptions) (*sdp.SessionDescription, error) {
	d, err := Unmarshal(local)
	if err != nil {
		return nil, err
	}
	if o.Offer != nil {
		o.Offer.fitAnswer(d)
	}
	hideSections(d, o.Hidden)
	for _, m := range d.MediaDescriptions {
		o.Synthetic.hide(m)
		msection.DropRepeatedFormats(m)
		if o.Offer == nil {
			msection.DeclareOpus(m, false)
		}
		mid := msection.Mid(m)
		if o.Removed[mid] {
			msection.RemoveTrack(m, mid)
		}
		if webrtc.NewRTPCodecType(m.MediaName.Media) != 0 && !msection.IsRejected(m) {
			msection.SetDirection(m, answerDirection(msection.Direction(m, d), o.peerDirection(mid)))
		}
	}
	if o.Setup != "" {
		setSetup(d, o.Setup)
	}
	if o.DataMid != "" {
		renameMid(d, DataMid(d), o.DataMid)
	}
	return d, nil
}

// peerDirection returns the direction of the peer that leaves of ours what is meant in a section.
// Pion keeps its own, because it would stop a transceiver for good (pion/webrtc#2226).
func (o *WireOptions) peerDirection(mid string) webrtc.RTPTransceiverDirection {
	switch {
	case o.OnHold:
		return webrtc.RTPTransceiverDirectionInactive
	case o.Paused[mid] || o.Removed[mid]:
		return webrtc.RTPTransceiverDirectionSendonly
	case o.SendOnly:
		return webrtc.RTPTransceiverDirectionRecvonly
	}
	return webrtc.RTPTransceiverDirectionSendrecv
}

// answerDirection returns what is left of our direction in a section in which the peer has theirs
// (RFC 3264 section 6.1): we send only what the peer receives, and receive only what it sends.
func answerDirection(ours, theirs webrtc.RTPTransceiverDirection) webrtc.RTPTransceiverDirection {
	we, peer := Section{Direction: ours}, Section{Direction: theirs}
	sends, receives := we.Sends() && peer.Receives(), we.Receives() && peer.Sends()
	switch {
	case sends && receives:
		return webrtc.RTPTransceiverDirectionSendrecv
	case sends:
		return webrtc.RTPTransceiverDirectionSendonly
	case receives:
		return webrtc.RTPTransceiverDirectionRecvonly
	}
	return webrtc.RTPTransceiverDirectionInactive
}

// setSetup gives all sections this DTLS role.
func setSetup(d *sdp.SessionDescription, setup string) {
	set := func(attributes []sdp.Attribute) {
		for i, a := range attributes {
			if a.Key == "setup" {
				attributes[i].Value = setup
			}
		}
	}
	set(d.Attributes)
	for _, m := range d.MediaDescriptions {
		set(m.Attributes)
	}
}

// OppositeSetup returns the DTLS role of one side, given the other's answer; "" for none.
func OppositeSetup(setup string) string {
	switch setup {
	case "active":
		return "passive"
	case "passive":
		return "active"
	}
	return ""
}

// fitAnswer makes an answer of Pion's fit the offer: its directions (RFC 3264 section 6.1), its
// protocols and the sections that it rejects (RFC 9429 section 5.3.1), of which Pion's have neither
// mid nor formats, or which Pion was not shown. Pion puts all candidates into the first section;
// they go to the first that is not rejected.
func (d *Description) fitAnswer(answer *sdp.SessionDescription) {
	var candidates []sdp.Attribute
	var first *sdp.MediaDescription
	answered := answer.MediaDescriptions
	answer.MediaDescriptions = nil
	for i, s := range d.Sections {
		offered := d.sdp.MediaDescriptions[i]
		var m *sdp.MediaDescription
		if d.shown(s) && len(answered) > 0 {
			m, answered = answered[0], answered[1:]
		}
		if m != nil && m.MediaName.Port.Value != 0 {
			if first == nil {
				first = m
			}
			msection.AnswerProtocol(m, offered)
			if s.Kind != 0 {
				msection.SetDirection(m, answerDirection(msection.Direction(m, answer), s.Direction))
				msection.DeclareOpus(m, true)
				msection.AnswerH264(m, offered)
			}
			answer.MediaDescriptions = append(answer.MediaDescriptions, m)
			continue
		}
		if m != nil {
			for _, a := range m.Attributes {
				if a.Key == "candidate" || a.Key == "end-of-candidates" {
					candidates = append(candidates, a)
				}
			}
		}
		answer.MediaDescriptions = append(answer.MediaDescriptions, msection.NewRejected(offered, s.Mid))
	}
	if first != nil {
		first.Attributes = append(first.Attributes, candidates...)
	}
}

// hideSections removes sections and their mids in BUNDLE groups.
func hideSections(d *sdp.SessionDescription, mids map[string]bool) {
	if len(mids) == 0 {
		return
	}
	d.MediaDescriptions = slices.DeleteFunc(d.MediaDescriptions, func(m *sdp.MediaDescription) bool { return mids[msection.Mid(m)] })
	editBundles(d, func(group []string) []string {
		return slices.DeleteFunc(group, func(mid string) bool { return mids[mid] })
	})
}

// SetupOf returns the first a=setup of a description, "" if there is none.
func SetupOf(d *sdp.SessionDescription) string { return strings.TrimSpace(firstAttribute(d, "setup")) }

// DataMid returns the mid of the section for data channels, "" if there is none.
func DataMid(d *sdp.SessionDescription) string {
	if i := slices.IndexFunc(d.MediaDescriptions, msection.IsData); i >= 0 {
		return msection.Mid(d.MediaDescriptions[i])
	}
	return ""
}

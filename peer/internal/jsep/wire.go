package jsep

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
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
		dropRepeatedFormats(m)
		if o.Offer == nil {
			declareOpus(m, false)
		}
		mid := midOf(m)
		if o.Removed[mid] {
			removeTrack(m, mid)
		}
		if webrtc.NewRTPCodecType(m.MediaName.Media) != 0 && !rejected(m) {
			setDirection(m, answerDirection(directionOf(m, d), o.peerDirection(mid)))
		}
	}
	if o.Setup != "" {
		SetSetup(d, o.Setup)
	}
	if o.DataMid != "" {
		renameMid(d, DataMid(d), o.DataMid)
	}
	return d, nil
}

// isData reports whether a section is one of data channels (RFC 8841).
func isData(m *sdp.MediaDescription) bool {
	return m.MediaName.Media == "application" && slices.Contains(m.MediaName.Protos, "SCTP")
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

// SetSetup gives all sections this DTLS role.
func SetSetup(d *sdp.SessionDescription, setup string) {
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
			answerProtocol(m, offered)
			if s.Kind != 0 {
				setDirection(m, answerDirection(directionOf(m, answer), s.Direction))
				declareOpus(m, true)
				answerH264(m, offered)
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
		answer.MediaDescriptions = append(answer.MediaDescriptions, rejectedSection(offered, s.Mid))
	}
	if first != nil {
		first.Attributes = append(first.Attributes, candidates...)
	}
}

// answerProtocol gives a section of ours the protocol that was offered, and data channels the form
// that goes with it: before RFC 8841, the format of DTLS/SCTP was the SCTP port, and
// a=sctpmap named the protocol (draft-ietf-mmusic-sctp-sdp-07 section 4). aiortc offers that.
func answerProtocol(m, offered *sdp.MediaDescription) {
	m.MediaName.Protos = offered.MediaName.Protos
	if !isData(m) || slices.Contains(offered.MediaName.Formats, "webrtc-datachannel") {
		return
	}
	port, ok := m.Attribute("sctp-port")
	if !ok {
		port = "5000"
	}
	m.MediaName.Formats = []string{port}
	dropAttributes(m, func(a sdp.Attribute) bool { return a.Key == "sctp-port" || a.Key == "sctpmap" })
	m.WithValueAttribute("sctpmap", port+" webrtc-datachannel 65535")
}

// rejectedSection returns the answer to a section that is rejected. It repeats the codecs, because
// Pion wants to know of one even there.
func rejectedSection(offered *sdp.MediaDescription, mid string) *sdp.MediaDescription {
	m := &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: offered.MediaName.Media, Protos: offered.MediaName.Protos, Formats: offered.MediaName.Formats},
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}},
	}
	for _, a := range offered.Attributes {
		if a.Key == "rtpmap" || a.Key == "fmtp" {
			m.Attributes = append(m.Attributes, a)
		}
	}
	return m.WithValueAttribute("mid", mid)
}

// hideSections removes sections and their mids in BUNDLE groups.
func hideSections(d *sdp.SessionDescription, mids map[string]bool) {
	if len(mids) == 0 {
		return
	}
	d.MediaDescriptions = slices.DeleteFunc(d.MediaDescriptions, func(m *sdp.MediaDescription) bool { return mids[midOf(m)] })
	editBundles(d, func(group []string) []string {
		return slices.DeleteFunc(group, func(mid string) bool { return mids[mid] })
	})
}

// removeTrack makes a section of ours say nothing of a track: the one that was there may be in
// another section by now, and Chromium takes no description with the same msid twice. The SSRC
// stays declared: without it Chromium shows nothing of what is sent by it later. Several layers get
// a name that no track has, because Pion does not survive the receiver that it makes of them
// without one.
func removeTrack(m *sdp.MediaDescription, mid string) {
	dropAttributes(m, func(a sdp.Attribute) bool {
		return a.Key == sdp.AttrKeyMsid || a.Key == sdp.AttrKeySSRC && !strings.Contains(a.Value, " cname:")
	})
	m.WithValueAttribute(sdp.AttrKeyMsid, "- "+mid) // "-" is no stream (RFC 8830 section 2)
}

// SetupOf returns the first a=setup of a description, "" if there is none.
func SetupOf(d *sdp.SessionDescription) string { return strings.TrimSpace(firstAttribute(d, "setup")) }

// DataMid returns the mid of the section for data channels, "" if there is none.
func DataMid(d *sdp.SessionDescription) string {
	if i := slices.IndexFunc(d.MediaDescriptions, isData); i >= 0 {
		return midOf(d.MediaDescriptions[i])
	}
	return ""
}

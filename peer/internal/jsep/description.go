// Package jsep implements the offer/answer rules of JSEP (RFC 9429).
//
// A description of the peer is read by Parse, handed to Pion as ForPion writes it, and answered or
// followed by a description of ours, which ToWire writes. Nothing here does I/O or keeps a
// PeerConnection.
package jsep

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Bounds of a description that is accepted, far above what browsers send.
const (
	MaxDescription = 256 << 10 // bytes
	MaxSections    = 64
	maxMid         = 16 // bytes; Firefox rejects longer ones too
)

// A Description is a session description of the peer, or the part of one that belongs to one
// transport. It is not changed once it was parsed.
type Description struct {
	// Sections are the m-sections in order.
	Sections []Section
	// Trickle: the peer accepts candidates one by one (RFC 8840 section 4.1.1).
	Trickle bool
	// Setup is the first a=setup: active, passive, actpass, holdconn, or "" if there is none.
	Setup string
	// Identity distinguishes connections of the peer.
	Identity Identity
	Dialect

	sdp *sdp.SessionDescription
}

// Section is one m-section.
type Section struct {
	Index     int                 // among all sections of the description
	Kind      webrtc.RTPCodecType // 0 for data channels and unknown media
	Data      bool                // data channels
	Mid       string
	Direction webrtc.RTPTransceiverDirection // as the peer sees it
	Rejected  bool                           // port 0 without a=bundle-only
}

// Sends reports whether the peer sends media in this section.
func (s Section) Sends() bool {
	return s.Direction == webrtc.RTPTransceiverDirectionSendrecv || s.Direction == webrtc.RTPTransceiverDirectionSendonly
}

// Receives reports whether the peer receives media in this section.
func (s Section) Receives() bool {
	return s.Direction == webrtc.RTPTransceiverDirectionSendrecv || s.Direction == webrtc.RTPTransceiverDirectionRecvonly
}

// Identity distinguishes one connection of the peer from another.
type Identity struct{ session, fingerprint, ufrag string }

// Continues reports whether a description belongs to the same connection: the same certificate,
// and the same session or, because aiortc starts a new session with every offer, the same ICE
// credentials.
func (i Identity) Continues(of Identity) bool {
	return i.fingerprint == of.fingerprint && (i.session == of.session || i.ufrag == of.ufrag)
}

// Parse reads and checks a session description of the peer. The error says what is wrong with it.
func Parse(text string) (*Description, error) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\r\n" // some leave the last one away; the parser wants it
	}
	if len(text) > MaxDescription {
		return nil, fmt.Errorf("the description has %d bytes, at most %d are accepted", len(text), MaxDescription)
	}
	if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\r") {
		return nil, errors.New("the description has a carriage return within a line")
	}
	parsed, err := Unmarshal(text)
	if err != nil {
		return nil, err
	}
	d := &Description{Dialect: DialectOf(parsed), sdp: parsed}
	switch {
	case d.OfferRequest != nil:
		return d, d.readIdentity()
	case d.IsRejection():
		return d, nil
	}
	if n := len(parsed.MediaDescriptions); n == 0 || n > MaxSections {
		return nil, fmt.Errorf("the description has %d media sections, 1 to %d are accepted", n, MaxSections)
	}
	if err := checkMedia(parsed); err != nil {
		return nil, err
	}
	if err := d.readSections(); err != nil {
		return nil, err
	}
	if err := d.readIdentity(); err != nil {
		return nil, err
	}
	d.Trickle = slices.Contains(strings.Fields(firstAttribute(parsed, "ice-options")), "trickle")
	d.Setup = SetupOf(parsed)
	for _, quirk := range parseQuirks() {
		quirk(parsed)
	}
	return d, nil
}

func (d *Description) readSections() error {
	seen := map[string]bool{}
	for i, m := range d.sdp.MediaDescriptions {
		mid, ok := m.Attribute("mid")
		if !ok { // older stacks; Pion needs one, who sent it ignores ours
			mid = fmt.Sprint(i)
			m.WithValueAttribute("mid", mid)
		}
		if mid == "" || len(mid) > maxMid || seen[mid] {
			return fmt.Errorf("media section %d has the mid %.20q, which is empty, too long or taken", i+1, mid)
		}
		seen[mid] = true
		d.Sections = append(d.Sections, Section{
			Index:     i,
			Kind:      webrtc.NewRTPCodecType(m.MediaName.Media),
			Data:      m.MediaName.Media == "application",
			Mid:       mid,
			Direction: directionOf(m, d.sdp),
			Rejected:  rejected(m),
		})
	}
	return nil
}

// rejected reports whether an m-section is rejected, or not offered (RFC 9143 section 6).
func rejected(m *sdp.MediaDescription) bool {
	_, bundleOnly := m.Attribute("bundle-only")
	return m.MediaName.Port.Value == 0 && !bundleOnly
}

func (d *Description) readIdentity() error {
	d.Identity = Identity{
		session:     fmt.Sprint(d.sdp.Origin.SessionID),
		fingerprint: strings.ToLower(firstAttribute(d.sdp, "fingerprint")),
		ufrag:       firstAttribute(d.sdp, "ice-ufrag"),
	}
	switch {
	case d.Identity.fingerprint == "":
		return errors.New("the description has no DTLS fingerprint (a=fingerprint); is the peer a WebRTC peer")
	case len(strings.Fields(d.Identity.fingerprint)) != 2:
		return fmt.Errorf("the description has the malformed fingerprint %.40q", d.Identity.fingerprint)
	case d.Identity.ufrag == "" || firstAttribute(d.sdp, "ice-pwd") == "":
		return errors.New("the description has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
	}
	return nil
}

// Rejected reports whether all sections are rejected.
func (d *Description) Rejected() bool {
	return !slices.ContainsFunc(d.Sections, func(s Section) bool { return !s.Rejected })
}

// HasData reports whether there is a section for data channels.
func (d *Description) HasData() bool {
	return slices.ContainsFunc(d.Sections, func(s Section) bool { return s.Data })
}

// Candidates returns the values of the candidate attributes, all of which icenet.ParseCandidate accepts.
func (d *Description) Candidates() (all []string) {
	for _, m := range d.sdp.MediaDescriptions {
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				all = append(all, a.Value)
			}
		}
	}
	return all
}

// SDP returns a copy of the description, without what Parse dropped.
func (d *Description) SDP() *sdp.SessionDescription { return clone(d.sdp) }

// Unmarshal parses SDP.
func Unmarshal(text string) (*sdp.SessionDescription, error) {
	parsed := &sdp.SessionDescription{}
	if err := parsed.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("the description is not SDP: %w", err)
	}
	return parsed, nil
}

// Marshal writes SDP.
func Marshal(d *sdp.SessionDescription) (string, error) {
	text, err := d.Marshal()
	if err != nil {
		return "", fmt.Errorf("the description cannot be written: %w", err)
	}
	return string(text), nil
}

// clone copies a description as far as it is changed here: the attributes, and the m-sections with
// their first lines and attributes.
func clone(d *sdp.SessionDescription) *sdp.SessionDescription {
	c := *d
	c.Attributes = slices.Clone(d.Attributes)
	c.MediaDescriptions = make([]*sdp.MediaDescription, len(d.MediaDescriptions))
	for i, m := range d.MediaDescriptions {
		section := *m
		section.Attributes = slices.Clone(m.Attributes)
		section.MediaName.Formats = slices.Clone(m.MediaName.Formats)
		c.MediaDescriptions[i] = &section
	}
	return &c
}

// firstAttribute returns the session's value, else that of the first section that has one.
func firstAttribute(d *sdp.SessionDescription, key string) string {
	if v, ok := d.Attribute(key); ok {
		return v
	}
	for _, m := range d.MediaDescriptions {
		if v, ok := m.Attribute(key); ok {
			return v
		}
	}
	return ""
}

// midOf returns the mid of a section, "" for none.
func midOf(m *sdp.MediaDescription) string {
	mid, _ := m.Attribute("mid")
	return mid
}

// sectionOf returns the section of a mid, nil if there is none.
func sectionOf(d *sdp.SessionDescription, mid string) *sdp.MediaDescription {
	if d == nil {
		return nil
	}
	for _, m := range d.MediaDescriptions {
		if midOf(m) == mid {
			return m
		}
	}
	return nil
}

// dropAttributes removes the attributes for which drop is true.
func dropAttributes(m *sdp.MediaDescription, drop func(sdp.Attribute) bool) {
	m.Attributes = slices.DeleteFunc(m.Attributes, drop)
}

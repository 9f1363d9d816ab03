// Package jsep reads and writes session descriptions by the rules of JSEP (RFC 9429).
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

	"parley/peer/internal/msection"
)

// Bounds of a description that is accepted, far above what browsers send.
const (
	MaxDescription = 256 << 10 // bytes
	maxSections    = 64
	maxMid         = 16 // bytes; Firefox rejects longer ones too
)

// A Description is a session description of the peer, or the part of one that belongs to one
// transport. A Description is not changed once it was parsed.
type Description struct {
	// Sections are the m-sections in order.
	Sections []Section
	// Trickle: the peer accepts candidates one by one (RFC 8840 section 4.1.1).
	Trickle bool
	// EndOfCandidates: no candidates follow those of the description (RFC 8840 section 8.2).
	EndOfCandidates bool
	// Setup is the first a=setup: active, passive, actpass, holdconn, or "" if there is none.
	Setup string
	// Identity distinguishes connections of the peer.
	Identity Identity

	sdp *sdp.SessionDescription
}

// Section is one m-section.
type Section struct {
	Index     int                 // among all sections of the description
	Kind      webrtc.RTPCodecType // 0 for data channels and unknown media
	Data      bool                // data channels
	Mid       string
	Direction webrtc.RTPTransceiverDirection // as the peer sees it
	Rejected  bool                           // port 0 without a=bundle-only, or media that are not supported

	unsupported bool // neither RTP of audio or video nor the first data channels
	unnamed     bool // there was no mid
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
	d := &Description{sdp: parsed}
	if n := len(parsed.MediaDescriptions); n == 0 || n > maxSections {
		return nil, fmt.Errorf("the description has %d media sections, 1 to %d are accepted", n, maxSections)
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
	d.EndOfCandidates = hasAttribute(parsed, "end-of-candidates")
	for _, quirk := range parseQuirks() {
		quirk(parsed)
	}
	return d, nil
}

func (d *Description) readSections() error {
	seen, data := map[string]bool{}, false
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
		s := Section{
			Index:     i,
			Kind:      webrtc.NewRTPCodecType(m.MediaName.Media),
			Data:      msection.IsData(m),
			Mid:       mid,
			Direction: msection.Direction(m, d.sdp),
			Rejected:  msection.IsRejected(m),
			unnamed:   !ok,
		}
		if s.unsupported = s.Kind == 0 && (!s.Data || data && !s.Rejected); s.unsupported {
			s.Data, s.Rejected = false, true
		}
		data = data || s.Data && !s.Rejected
		d.Sections = append(d.Sections, s)
	}
	return nil
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

// FirstActive returns the first section that is not rejected, that of the transport's candidates
// (RFC 9429 section 4.1.20); false: there is none.
func FirstActive(sections []Section) (Section, bool) {
	if i := slices.IndexFunc(sections, func(s Section) bool { return !s.Rejected }); i >= 0 {
		return sections[i], true
	}
	return Section{}, false
}

// Rejected reports whether all sections are rejected.
func (d *Description) Rejected() bool {
	return !slices.ContainsFunc(d.Sections, func(s Section) bool { return !s.Rejected })
}

// HasData reports whether there is a section for data channels.
func (d *Description) HasData() bool {
	return slices.ContainsFunc(d.Sections, func(s Section) bool { return s.Data })
}

// Candidates returns the values of the candidate attributes, all of which candidate.Parse accepts.
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
	text, others := hideOtherMedia(text)
	parsed := &sdp.SessionDescription{}
	if err := parsed.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("the description is not SDP: %w", err)
	}
	for i, name := range others {
		if i < len(parsed.MediaDescriptions) {
			parsed.MediaDescriptions[i].MediaName.Media, parsed.MediaDescriptions[i].MediaName.Protos = name.Media, name.Protos
		}
	}
	return parsed, nil
}

// hideOtherMedia writes the m-sections of media that the parser refuses, such as image, as
// messages, and returns what they are by their indices: an answer rejects them, and has them all.
func hideOtherMedia(text string) (string, map[int]sdp.MediaName) {
	others, index := map[int]sdp.MediaName{}, 0
	var all strings.Builder
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "m="); ok {
			words := strings.SplitN(rest, " ", 4)
			known := slices.Contains([]string{"audio", "video", "text", "application", "message"}, words[0])
			if !known && len(words) == 4 && words[0] != "" {
				others[index] = sdp.MediaName{Media: words[0], Protos: strings.Split(words[2], "/")}
				line = "m=message " + words[1] + " TCP " + words[3]
			}
			index++
		}
		all.WriteString(line)
	}
	return all.String(), others
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

// hasAttribute reports whether the session or a section has an attribute.
func hasAttribute(d *sdp.SessionDescription, key string) bool {
	if _, ok := d.Attribute(key); ok {
		return true
	}
	return slices.ContainsFunc(d.MediaDescriptions, func(m *sdp.MediaDescription) bool {
		_, ok := m.Attribute(key)
		return ok
	})
}

// sectionOf returns the section of a mid, nil if there is none.
func sectionOf(d *sdp.SessionDescription, mid string) *sdp.MediaDescription {
	if d == nil {
		return nil
	}
	for _, m := range d.MediaDescriptions {
		if msection.Mid(m) == mid {
			return m
		}
	}
	return nil
}

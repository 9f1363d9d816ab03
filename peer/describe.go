package peer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/icenet"
)

// Bounds of a description that is taken, far above what browsers send.
const (
	maxDescription = 256 << 10 // bytes
	maxSections    = 64
	maxMid         = 16 // bytes; Firefox refuses longer ones too
)

// sessionName in "s=" tells another parley, page or terminal, that this side
// breaks ties by name (negotiate.go). Browsers write "-", and ignore it.
const sessionName = "parley"

// answerName is that of an answer: Janus copies the name from the offer to its
// answer, and is no parley for that.
const answerName = "parley-answer"

// A Description is what a call looks at in a session description before Pion
// gets it.
type Description struct {
	// Sections are the media sections in order.
	Sections []Section
	// Parley: the other side, which offers, speaks parley's rule for glare.
	Parley bool
	// Trickle: the other side takes candidates one by one (RFC 8840 §4.1.1).
	Trickle bool

	answers  bool     // as a parley does, see answerName
	wish     []string // not nil: an offer is asked for, see wish.go
	refusal  string   // not "": an offer of ours was not taken, and why; safe to print, see refuse.go
	untaken  string   // likewise of an answer of ours
	identity identity
	text     string // as it came
	sdp      string // as Pion gets it
	parsed   *sdp.SessionDescription
	// parts are the sections that share a transport, each as a description of
	// its own: one when all are bundled, see unbundled.go.
	parts []*Description
	conn  *connection // that a part is for, see arrange; nil for one that is to be made
}

// Section is one media section.
type Section struct {
	Index     int                 // among all sections
	Kind      webrtc.RTPCodecType // 0 for a data channel or an unknown kind
	Data      bool
	Mid       string
	Direction webrtc.RTPTransceiverDirection // as the other side sees it
	Rejected  bool                           // port 0 outside a bundle
}

// Sends tells if the other side sends in this section.
func (s Section) Sends() bool {
	return s.Direction == webrtc.RTPTransceiverDirectionSendrecv || s.Direction == webrtc.RTPTransceiverDirectionSendonly
}

// Takes tells if the other side takes media in this section.
func (s Section) Takes() bool {
	return s.Direction == webrtc.RTPTransceiverDirectionSendrecv || s.Direction == webrtc.RTPTransceiverDirectionRecvonly
}

// identity tells one connection of the other side from another.
type identity struct{ session, fingerprint, ufrag string }

// continues tells if a description belongs to the same connection: the same
// certificate, and the same session or, because aiortc counts a new session
// with every offer, the same ICE credentials.
func (i identity) continues(of identity) bool {
	return i.fingerprint == of.fingerprint && (i.session == of.session || i.ufrag == of.ufrag)
}

// Describe reads and checks a session description of the other side. The error
// says what is wrong with it.
func Describe(text string) (*Description, error) {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\r\n" // some leave the last one away; the parser wants it
	}
	if len(text) > maxDescription {
		return nil, fmt.Errorf("the description has %d bytes, at most %d are taken", len(text), maxDescription)
	}
	if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\r") {
		return nil, errors.New("the description has a carriage return within a line")
	}
	parsed := &sdp.SessionDescription{}
	if err := parsed.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("the description is not SDP: %w", err)
	}
	if wish, ok := wishOf(parsed); ok {
		d := &Description{text: text, Parley: true, wish: wish}
		return d, d.readIdentity(parsed)
	}
	refusal := refusalOf(parsed, answerName)
	if refusal != "" && len(parsed.MediaDescriptions) == 0 {
		return &Description{text: text, answers: true, refusal: refusal}, nil
	}
	if n := len(parsed.MediaDescriptions); n == 0 || n > maxSections {
		return nil, fmt.Errorf("the description has %d media sections, 1 to %d are taken", n, maxSections)
	}
	if err := checkMedia(parsed); err != nil {
		return nil, err
	}
	name := string(parsed.SessionName)
	d := &Description{text: text, Parley: name == sessionName, answers: name == answerName, refusal: refusal, untaken: refusalOf(parsed, sessionName)}
	if err := d.readSections(parsed); err != nil {
		return nil, err
	}
	if err := d.readIdentity(parsed); err != nil {
		return nil, err
	}
	d.Trickle = hasOption(parsed, "trickle")
	dropCandidates(parsed)
	dropGroups(parsed)
	dropSources(parsed)
	return d, d.divide(parsed)
}

func (d *Description) readSections(parsed *sdp.SessionDescription) error {
	seen := map[string]bool{}
	for i, m := range parsed.MediaDescriptions {
		mid, ok := m.Attribute("mid")
		if !ok { // older stacks; Pion needs one, who sent it ignores ours
			mid = fmt.Sprint(i)
			m.WithValueAttribute("mid", mid)
		}
		if mid == "" || len(mid) > maxMid || seen[mid] {
			return fmt.Errorf("media section %d has the mid %.20q, which is empty, too long or taken", i+1, mid)
		}
		seen[mid] = true
		_, bundled := m.Attribute("bundle-only")
		d.Sections = append(d.Sections, Section{
			Index:     i,
			Kind:      webrtc.NewRTPCodecType(m.MediaName.Media),
			Data:      m.MediaName.Media == "application",
			Mid:       mid,
			Direction: direction(m, parsed),
			Rejected:  m.MediaName.Port.Value == 0 && !bundled,
		})
	}
	return nil
}

// direction is a section's own, else the session's, else sendrecv (RFC 8866 §6.7).
func direction(m *sdp.MediaDescription, s *sdp.SessionDescription) webrtc.RTPTransceiverDirection {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, s.Attributes} {
		for _, a := range attributes {
			if d := webrtc.NewRTPTransceiverDirection(a.Key); d != webrtc.RTPTransceiverDirectionUnknown {
				return d
			}
		}
	}
	return webrtc.RTPTransceiverDirectionSendrecv
}

func (d *Description) readIdentity(parsed *sdp.SessionDescription) error {
	d.identity = identity{
		session:     fmt.Sprint(parsed.Origin.SessionID),
		fingerprint: strings.ToLower(firstAttribute(parsed, "fingerprint")),
		ufrag:       firstAttribute(parsed, "ice-ufrag"),
	}
	switch {
	case d.identity.fingerprint == "":
		return errors.New("the description has no DTLS fingerprint (a=fingerprint); is the other side a WebRTC peer")
	case len(strings.Fields(d.identity.fingerprint)) != 2:
		return fmt.Errorf("the description has the malformed fingerprint %.40q", d.identity.fingerprint)
	case d.identity.ufrag == "" || firstAttribute(parsed, "ice-pwd") == "":
		return errors.New("the description has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
	}
	return nil
}

// firstAttribute is the session's, else that of the first section with it.
func firstAttribute(parsed *sdp.SessionDescription, key string) string {
	if v, ok := parsed.Attribute(key); ok {
		return v
	}
	for _, m := range parsed.MediaDescriptions {
		if v, ok := m.Attribute(key); ok {
			return v
		}
	}
	return ""
}

func hasOption(parsed *sdp.SessionDescription, option string) bool {
	return slices.Contains(strings.Fields(firstAttribute(parsed, "ice-options")), option)
}

// dropCandidates removes the candidates that Pion cannot use, which would make
// it refuse the whole description half-way.
func dropCandidates(parsed *sdp.SessionDescription) {
	for _, m := range parsed.MediaDescriptions {
		m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
			_, err := icenet.ParseCandidate(a.Value)
			return a.Key == "candidate" && err != nil
		})
	}
}

// dropGroups removes the groups that are not BUNDLE, such as libdatachannel's for
// lip sync (LS, RFC 5888 §7): Pion takes the last group for the bundle, and
// answers whatever is not in it with port 0.
func dropGroups(parsed *sdp.SessionDescription) {
	parsed.Attributes = slices.DeleteFunc(parsed.Attributes, func(a sdp.Attribute) bool {
		return a.Key == "group" && !strings.HasPrefix(a.Value, "BUNDLE")
	})
}

// marked returns our description as it goes over the wire: with a session name
// of parley's, and with setup, if not "", as the DTLS role that is in use. For
// Pion would answer a later offer with its default role, and Chromium refuses a
// role that changes (RFC 8842 §5.5, pion/webrtc#3552).
func marked(text, name, setup string) string {
	lines := strings.SplitAfter(text, "\r\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "s="):
			lines[i] = "s=" + name + "\r\n"
		case setup != "" && strings.HasPrefix(line, "a=setup:"):
			lines[i] = "a=setup:" + setup + "\r\n"
		}
	}
	return strings.Join(lines, "")
}

// setupOf is the DTLS role that a description announces: active, passive,
// actpass or "".
func setupOf(text string) string {
	_, rest, found := strings.Cut(text, "\na=setup:")
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, "\r\n")
	return strings.TrimSpace(value)
}

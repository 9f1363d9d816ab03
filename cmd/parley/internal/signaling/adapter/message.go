package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"parley/signal"
)

// Version is the version of the protocol, which the JSON schema "adapter" specifies.
const Version = 1

// The types of messages. A program sends typeReady and parley sends typeLogin; both send the
// others.
const (
	typeLogin           = "login"
	typeReady           = "ready"
	typeOffer           = "offer"
	typeAnswer          = "answer"
	typeCandidate       = "candidate"
	typeEndOfCandidates = "end-of-candidates"
	typeLeave           = "leave"
	typeError           = "error"
)

// The codes of errors of a program. Others have no effect.
const (
	codeAbsent       = "absent"       // nobody has the name of the peer
	codeDeclined     = "declined"     // the peer is busy or declines
	codeUnauthorized = "unauthorized" // before ready: the login is refused
)

// message is a line of the protocol.
type message struct {
	Type       string             `json:"type"`
	Version    int                `json:"version,omitempty"`
	Name       string             `json:"name,omitempty"`
	ICEServers []signal.ICEServer `json:"iceServers,omitempty"`
	Trickle    *bool              `json:"trickle,omitempty"`
	Call       string             `json:"call,omitempty"`
	Peer       string             `json:"peer,omitempty"`
	SDP        *string            `json:"sdp,omitempty"`
	Candidate  *signal.Candidate  `json:"candidate,omitempty"`
	Parley     json.RawMessage    `json:"parley,omitempty"`
	Code       string             `json:"code,omitempty"`
	Text       string             `json:"text,omitempty"`
}

const (
	// maxLine bounds a line of a program in bytes: a session description with its escapes.
	maxLine = 256 << 10
	// maxID bounds the ID of a call in bytes.
	maxID = 64
)

// decode returns the message in a line of a program. The error says what is wrong with it.
func decode(line []byte) (message, error) {
	var m message
	if !utf8.Valid(line) {
		return m, errors.New("invalid JSON: not UTF-8")
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("invalid JSON: %w", err)
	}
	return m, m.check()
}

// check returns why a program must not send m.
func (m *message) check() error {
	switch m.Type {
	case typeReady:
		return m.checkReady()
	case typeError:
		if m.Call != "" {
			return checkID(m.Call)
		}
		return nil
	case typeOffer, typeAnswer, typeCandidate, typeEndOfCandidates, typeLeave:
	case "":
		return errors.New("type is missing")
	default:
		return fmt.Errorf("unknown type %q: want ready, offer, answer, candidate, end-of-candidates, leave or error", signal.Printable(m.Type))
	}
	if err := checkID(m.Call); err != nil {
		return err
	}
	switch m.Type {
	case typeOffer:
		if err := signal.CheckPeerName(m.Peer); err != nil {
			return fmt.Errorf("invalid peer of the offer: %w", err)
		}
		return m.checkSDP()
	case typeAnswer:
		return m.checkSDP()
	case typeCandidate:
		return m.checkCandidate()
	}
	return nil
}

func (m *message) checkReady() error {
	if len(m.ICEServers) > signal.MaxICEServers {
		return fmt.Errorf("invalid iceServers: got %d, want at most %d", len(m.ICEServers), signal.MaxICEServers)
	}
	for _, s := range m.ICEServers {
		if err := s.Check(); err != nil {
			return fmt.Errorf("invalid iceServers: %w", err)
		}
	}
	return nil
}

func (m *message) checkSDP() error {
	switch x := m.extension(); {
	case m.SDP == nil:
		return fmt.Errorf("sdp of the %s is missing", m.Type)
	case *m.SDP == "" && (m.Type != typeAnswer || x == nil || x.Rejected == ""):
		return fmt.Errorf("sdp of the %s is empty", m.Type)
	case len(*m.SDP) > signal.MaxReceivedSDP:
		return fmt.Errorf("sdp of the %s is too long: got %d bytes, want at most %d", m.Type, len(*m.SDP), signal.MaxReceivedSDP)
	}
	return nil
}

func (m *message) checkCandidate() error {
	switch c := m.Candidate; {
	case c == nil:
		return errors.New("candidate is missing; the end of candidates is a message end-of-candidates")
	case len(c.Candidate) > signal.MaxCandidate:
		return fmt.Errorf("candidate is too long: got %d bytes, want at most %d", len(c.Candidate), signal.MaxCandidate)
	case strings.ContainsFunc(c.Candidate, unicode.IsControl):
		return errors.New("candidate has a control character")
	}
	return nil
}

// extension returns what the member parley has for a peer that is a parley, nil for none.
func (m *message) extension() *signal.Extension {
	var x signal.Extension
	if len(m.Parley) == 0 || json.Unmarshal(m.Parley, &x) != nil {
		return nil
	}
	if x.Check(signal.Type(m.Type)) != nil {
		return nil
	}
	x.Rejected, x.AnswerRejected = signal.Truncate(signal.Printable(x.Rejected), signal.MaxReason), signal.Truncate(signal.Printable(x.AnswerRejected), signal.MaxReason)
	return &x
}

// checkID returns why text cannot be the ID of a call.
func checkID(text string) error {
	switch {
	case text == "":
		return errors.New("call is missing: want the ID of the call")
	case len(text) > maxID:
		return fmt.Errorf("call is too long: got %d bytes, want at most %d", len(text), maxID)
	case strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }):
		return errors.New("call has a character that is not printable ASCII")
	}
	return nil
}

// received returns the message of a call as the session takes it.
func (m *message) received(peer string) signal.Message {
	r := signal.Message{Peer: peer}
	switch m.Type {
	case typeOffer, typeAnswer:
		r.Type, r.SDP, r.Extension = signal.Type(m.Type), *m.SDP, m.extension()
	case typeCandidate:
		r.Type, r.Candidate = signal.ICECandidate, m.Candidate
		if m.Candidate.Candidate == "" { // the end of candidates (W3C WebRTC section 4.8.1.1)
			r.Candidate = nil
		}
	case typeEndOfCandidates:
		r.Type = signal.ICECandidate
	case typeLeave:
		r.Type = signal.Leave
	case typeError:
		r.Type, r.Code, r.Text = signal.Error, signal.Printable(m.Code), signal.Printable(m.Text)
	}
	return r
}

// sent returns the line for a message of a call.
func sent(m signal.Message, id string) ([]byte, error) {
	l := message{Call: id}
	switch m.Type {
	case signal.Offer, signal.Answer:
		l.Type, l.Peer, l.SDP = string(m.Type), m.Peer, &m.SDP
		if m.Extension != nil {
			var err error
			if l.Parley, err = json.Marshal(m.Extension); err != nil {
				return nil, err
			}
		}
	case signal.ICECandidate:
		l.Type, l.Peer, l.Candidate = typeCandidate, m.Peer, m.Candidate
		if m.Candidate == nil || m.Candidate.Candidate == "" {
			l.Type, l.Candidate = typeEndOfCandidates, nil
		}
	case signal.Leave:
		l.Type, l.Peer = typeLeave, m.Peer
	default:
		return nil, fmt.Errorf("cannot send a message of type %q", m.Type)
	}
	return l.line()
}

// line returns the message as a line.
func (m message) line() ([]byte, error) {
	text, err := json.Marshal(m)
	return append(text, '\n'), err
}

package signal

import "fmt"

// Type is the kind of a Message.
type Type string

// The kinds of Message. A client sends all but Error.
const (
	// Offer carries an SDP offer and opens a call.
	Offer Type = "offer"
	// Answer carries the SDP answer to an offer.
	Answer Type = "answer"
	// ICECandidate carries one candidate, or the end of candidates.
	ICECandidate Type = "candidate"
	// Leave ends the call. The relay dialect has no such message; a client does not send it there.
	Leave Type = "leave"
	// Error reports that the server has refused a message; Code says why.
	Error Type = "error"
)

const (
	// MaxFrame is the longest frame in bytes to a server with the default limits.
	MaxFrame = 64 << 10
	// MaxSDP is the longest session description in bytes that is sent. Browsers send 3 to 10 KiB; a
	// frame of 64 KiB must hold it with its escapes.
	MaxSDP = 48 << 10
	// MaxReceivedSDP is the longest session description in bytes that is accepted. Chromium's has 4
	// KiB for each video that was ever added to a call.
	MaxReceivedSDP = 2 * MaxSDP
	// MaxCandidate is the longest candidate line in bytes; those of RFC 8839 have fewer than 200.
	MaxCandidate = 2 << 10
	// MaxText is the longest text of an error in bytes.
	MaxText = 1 << 10
)

// Message is a message between a client and a server, the same in both dialects.
type Message struct {
	Type Type
	// Peer is the receiver of a message to be sent, and the sender of a received one. Peer is empty
	// where the frame does not have it: in the relay dialect, and in answers, candidates and leaves
	// from an original server.
	Peer string
	// SDP is the session description of an Offer or an Answer. It may be empty in an Answer whose
	// Extension has Rejected.
	SDP string
	// Extension belongs to Offer and Answer; nil if the sender has none, or a malformed one.
	Extension *Extension
	// Candidate belongs to ICECandidate; nil is the end of candidates.
	Candidate *Candidate
	// Code and Text belong to Error: a stable code, empty from an original server, and a printable
	// text of at most 1 KiB, which is not to be trusted.
	Code, Text string
	// Lost belongs to a received Leave: Peer did not hang up, but lost its connection to the server
	// and did not resume its session in time.
	Lost bool
}

// Candidate is RTCIceCandidateInit (W3C WebRTC section 4.8.1.1). Its JSON form omits
// usernameFragment if that is nil.
type Candidate struct {
	Candidate        string  `json:"candidate"`
	SDPMid           *string `json:"sdpMid"`
	SDPMLineIndex    *uint16 `json:"sdpMLineIndex"`
	UsernameFragment *string `json:"usernameFragment,omitempty"`
}

// Check returns why a client must not send m.
func (m Message) Check() error {
	switch m.Type {
	case Offer, Answer:
		if m.SDP == "" && !m.Rejects() {
			return fmt.Errorf("the %s has no session description", m.Type)
		}
		if len(m.SDP) > MaxSDP {
			return fmt.Errorf("the %s has a session description of %d bytes; at most %d travel", m.Type, len(m.SDP), MaxSDP)
		}
	case ICECandidate:
		if m.Candidate != nil && len(m.Candidate.Candidate) > MaxCandidate {
			return fmt.Errorf("the candidate has %d bytes; at most %d travel", len(m.Candidate.Candidate), MaxCandidate)
		}
	case Leave:
	default:
		return fmt.Errorf("a client cannot send a message of type %q", m.Type)
	}
	if m.Extension != nil {
		if err := m.Extension.Check(m.Type); err != nil {
			return err
		}
	}
	if err := CheckPeerName(m.Peer); err != nil {
		return fmt.Errorf("the %s is for nobody: %w", m.Type, err)
	}
	return nil
}

// Rejects reports whether m is an answer that does not accept the offer, which needs no session
// description.
func (m Message) Rejects() bool {
	return m.Type == Answer && m.Extension != nil && m.Extension.Rejected != ""
}

// Dialect is one of the two protocols, which the package comment specifies.
type Dialect string

const (
	// DialectCall is the dialect of the video and text pages: login, offer, answer, candidate,
	// leave.
	DialectCall Dialect = "call"
	// DialectRelay is the dialect of the hello-world page: init and send, without replies and
	// senders.
	DialectRelay Dialect = "relay"
)

// ParseDialect returns the dialect of that name; the empty name is DialectCall.
func ParseDialect(name string) (Dialect, error) {
	switch d := Dialect(name); d {
	case "":
		return DialectCall, nil
	case DialectCall, DialectRelay:
		return d, nil
	}
	return "", fmt.Errorf("there is no dialect %q: use %q or %q", name, DialectCall, DialectRelay)
}

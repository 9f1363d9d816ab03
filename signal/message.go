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
	// Leave hangs up. The relay dialect has no such message: sending one there does nothing.
	Leave Type = "leave"
	// Error is the server's complaint about something that was sent; Code tells which.
	Error Type = "error"
)

// The stable codes of errors and refused logins that our server sends. More may be added; none changes its meaning.
const (
	// CodeAbsent: nobody of that name is signed in. Sent for an offer and for an answer.
	CodeAbsent = "absent"
	// CodeTaken: a login asked for a name that somebody holds.
	CodeTaken = "taken"
	// CodeBadName: a name that CheckName refuses.
	CodeBadName = "bad_name"
	// CodeBadMessage: a member is missing or has the wrong shape.
	CodeBadMessage = "bad_message"
	// CodeLoginFirst: a message that needs a login came before it.
	CodeLoginFirst = "login_first"
	// CodeUnknownType: the type is none of this dialect's.
	CodeUnknownType = "unknown_type"
	// CodeNoCall: an answer, a candidate or a leave outside an open call with that user.
	CodeNoCall = "no_call"
	// CodeTooLong: a message, session description or candidate over its bound.
	CodeTooLong = "too_long"
	// CodeRateLimited: messages come faster than allowed.
	CodeRateLimited = "rate_limited"
	// CodeTooManyCalls: one of the two is in as many calls as one may be.
	CodeTooManyCalls = "too_many_calls"
	// CodeUnauthorized: the login was refused, for want of a good token or by the decision of whom the server asks.
	CodeUnauthorized = "unauthorized"
	// CodeThrottled: too many logins from that address were refused.
	CodeThrottled = "throttled"
	// CodeUnavailable: whether the login is good cannot be found out now.
	CodeUnavailable = "unavailable"
	// CodeLoginTimeout: no login came in time.
	CodeLoginTimeout = "login_timeout"
	// CodeOverloaded: there are more connections than the server wants to have.
	CodeOverloaded = "overloaded"
	// CodeExpired: the session that a client wants to come back to has ended.
	CodeExpired = "expired"
)

const (
	// maxFrame bounds a frame to a server: what ours takes by default.
	maxFrame = 64 << 10
	// maxSDP bounds a session description. Browsers send 3 to 10 KiB; a frame of 64 KiB must hold it with its escapes.
	maxSDP = 48 << 10
	// maxTakenSDP bounds one that comes, maybe by a server without such bounds: Chromium's has 4 KiB for each picture that was
	// ever added to a call.
	maxTakenSDP = 2 * maxSDP
	// maxCandidate bounds a candidate line; RFC 8839 candidates are below 200 bytes.
	maxCandidate = 2 << 10
	// maxText bounds the free text of an error.
	maxText = 1 << 10
)

// Message is one thing said on the wire, the same in both dialects.
type Message struct {
	Type Type
	// Peer is whom the message is for when sent, and who sent it when received. It is empty where the wire does not tell: in the
	// relay dialect, and for answers, candidates and hang-ups by way of the original server.
	Peer string
	// SDP is the session description of an Offer or an Answer. It may be empty in an Answer whose
	// Extension has Rejected.
	SDP string
	// Extension belongs to Offer and Answer; nil if the sender has none, or a malformed one.
	Extension *Extension
	// Candidate belongs to ICECandidate; nil is the end of candidates.
	Candidate *Candidate
	// Code and Text belong to Error: a stable code, empty from the original server, and a sentence for people. Text was written
	// by the far side: printable, at most 1 KiB, and otherwise not to be trusted.
	Code, Text string
	// Lost belongs to a Leave that came: nobody hung up, but Peer has lost its connection to the server and did not come back in time.
	Lost bool
}

// Candidate is RTCIceCandidateInit as browsers put it on the wire (W3C WebRTC, 4.8.1.1). The JSON form omits usernameFragment when nil.
type Candidate struct {
	Candidate        string  `json:"candidate"`
	SDPMid           *string `json:"sdpMid"`
	SDPMLineIndex    *uint16 `json:"sdpMLineIndex"`
	UsernameFragment *string `json:"usernameFragment,omitempty"`
}

// check tells why a client must not send m.
func (m Message) check() error {
	switch m.Type {
	case Offer, Answer:
		if m.SDP == "" && !m.rejects() {
			return fmt.Errorf("the %s has no session description", m.Type)
		}
		if len(m.SDP) > maxSDP {
			return fmt.Errorf("the %s has a session description of %d bytes; at most %d travel", m.Type, len(m.SDP), maxSDP)
		}
	case ICECandidate:
		if m.Candidate != nil && len(m.Candidate.Candidate) > maxCandidate {
			return fmt.Errorf("the candidate has %d bytes; at most %d travel", len(m.Candidate.Candidate), maxCandidate)
		}
	case Leave:
	default:
		return fmt.Errorf("a client cannot send a message of type %q", m.Type)
	}
	if m.Extension != nil {
		if err := m.Extension.check(m.Type); err != nil {
			return err
		}
	}
	if err := CheckName(m.Peer); err != nil {
		return fmt.Errorf("the %s is for nobody: %w", m.Type, err)
	}
	return nil
}

// rejects reports whether m is an answer that does not accept the offer, which needs no session description.
func (m Message) rejects() bool {
	return m.Type == Answer && m.Extension != nil && m.Extension.Rejected != ""
}

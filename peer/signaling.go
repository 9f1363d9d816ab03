package peer

import (
	"context"
	"fmt"
	"time"

	"parley/peer/internal/jsep"

	"github.com/pion/webrtc/v4"
)

// A Description is a session description of the peer, see ParseDescription.
type Description = jsep.Description

// A Section is an m-section of a Description.
type Section = jsep.Section

// ParseDescription reads and checks a session description of the peer. The error says what is wrong
// with it.
func ParseDescription(text string) (*Description, error) { return jsep.Parse(text) }

// A SessionDescription is an offer or an answer as signaling carries it.
type SessionDescription struct {
	// SDP is empty in an answer that rejects an offer.
	SDP string
	// Extension is nil if the sender is not a parley.
	Extension *Extension
}

// An Extension accompanies an offer or an answer between parleys. Other peers ignore it, and it is
// not sent to them once they are known. Package signal specifies its form on the wire.
type Extension struct {
	// Number counts the offers of the sender from 1. An answer has that of the offer that it
	// answers.
	Number uint64
	// Processed is, in an offer, the number of the peer's latest offer that the sender has answered
	// or rejected. 0 before the first.
	Processed uint64
	// Browser reports that the sender is a browser. Chromium loses video when it rolls back an
	// offer, so a terminal is polite towards a browser.
	Browser bool
	// NoOffers reports, in an offer, that its sender accepts none, such as a client of WHIP: only
	// the sender restarts ICE.
	NoOffers bool
	// Rejected is, in an answer, why the offer was not accepted. Nothing has changed.
	Rejected string
	// AnswerRejected is, in an offer, why the answer to the offer before could not be applied.
	AnswerRejected string
}

// valid returns the description without an extension that has no number, which is malformed.
func (d SessionDescription) valid() SessionDescription {
	if d.Extension != nil && d.Extension.Number == 0 {
		d.Extension = nil
	}
	return d
}

// Reject returns the answer that rejects the first offer of a parley, and false for an offer of
// another peer, which would not understand it.
func Reject(offer SessionDescription, why error) (SessionDescription, bool) {
	if offer.Extension == nil {
		return SessionDescription{}, false
	}
	return SessionDescription{Extension: &Extension{Number: offer.Extension.Number, Rejected: jsep.Printable(why.Error())}}, true
}

// textOf returns the text of a description, "" for none.
func textOf(d *webrtc.SessionDescription) string {
	if d == nil {
		return ""
	}
	return d.SDP
}

// A Signaler sends the messages of one call to the peer, in the order of its calls. A method may
// wait until the message is queued, no longer than ctx.
type Signaler interface {
	Offer(ctx context.Context, d SessionDescription) error
	Answer(ctx context.Context, d SessionDescription) error
	// Candidate sends a candidate. One with an empty line is end-of-candidates (RFC 8838 section
	// 13); it is sent to peers that are known to understand it.
	Candidate(ctx context.Context, c webrtc.ICECandidateInit) error
	Leave(ctx context.Context) error
}

// signaling sends messages by the Signaler of a call. The goroutine of Run uses it.
type signaling struct {
	cfg         *callConfig
	transports  *transports
	peerPresent bool // a description of the peer has come
}

// signalTimeout bounds how long the call waits for its Signaler to queue a message.
const signalTimeout = 10 * time.Second

// send sends a message by a method of the Signaler. A call that was connected goes on when a
// message is lost.
func (s *signaling) send(ctx context.Context, message func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	err := message(ctx)
	switch {
	case err == nil:
		return nil
	case s.transports.established:
		s.cfg.OnEvent(Warned{fmt.Sprintf("a message to the peer was lost: %v", err)})
		return nil
	}
	return &Error{Signaling, err}
}

// leave sends a leave, if the peer is there: the original server crashes on one for a user who is
// not logged in.
func (s *signaling) leave() {
	if !s.peerPresent {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeouts.Flush)
	defer cancel()
	if err := s.cfg.Signaler.Leave(ctx); err != nil {
		s.cfg.Logger.Debug("leave not sent", "error", err)
	}
}

package peer

import (
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
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

// An Extension accompanies an offer or an answer between parleys. Other peers ignore it, and it is not
// sent to them once they are known. Package signal specifies its form on the wire.
type Extension struct {
	// Number counts the offers of the sender from 1. An answer has that of the offer that it answers.
	Number uint64
	// Processed is, in an offer, the number of the peer's latest offer that the sender has answered
	// or rejected. 0 before the first.
	Processed uint64
	// Browser reports that the sender is a browser. Chromium loses video when it rolls back an offer,
	// so a terminal is polite towards a browser.
	Browser bool
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

// Reject returns the answer that rejects the first offer of a parley, and false for an offer of another
// peer, which would not understand it.
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

package peer

import "parley/peer/internal/jsep"

// A Description is a session description of the peer, see ParseDescription.
type Description = jsep.Description

// A Section is an m-section of a Description.
type Section = jsep.Section

// ParseDescription reads and checks a session description of the peer. The error says what is wrong
// with it.
func ParseDescription(text string) (*Description, error) { return jsep.Parse(text) }

// DescriptionPurpose reports whether a description has sections, and why it rejects an offer, ""
// if it does not; the reason is safe to print. What is no SDP counts as having sections.
func DescriptionPurpose(text string) (sections bool, rejection string) { return jsep.Purpose(text) }

// RejectOffer returns the answer to an offer of which no call is made, "" for a peer that would not
// understand it.
func RejectOffer(offer string, why error) string { return jsep.Reject(offer, why) }

package signal

import "fmt"

// ExtensionVersion is the version of Extension that this package reads and writes.
const ExtensionVersion = 1

// MaxReason bounds Rejected and AnswerRejected, in bytes.
const MaxReason = 200

// MaxOfferNumber bounds Number and Processed: what JavaScript counts exactly.
const MaxOfferNumber = 1<<53 - 1

// Extension is the optional member parley of an offer or an answer. Servers forward it unread, and
// other peers ignore it. The section Extension of the package comment specifies it.
type Extension struct {
	// Version is ExtensionVersion.
	Version int `json:"version"`
	// Number counts the offers of the sender in the call, from 1. An answer repeats the number of
	// its offer.
	Number uint64 `json:"number"`
	// Processed belongs to an Offer: the number of the peer's latest offer that the sender has
	// answered or rejected, 0 for none.
	Processed uint64 `json:"processed,omitempty"`
	// Browser reports that the sender is a browser, which is the impolite peer when its offer and
	// that of a terminal cross.
	Browser bool `json:"browser,omitempty"`
	// NoOffers belongs to an Offer: its sender accepts none, such as a client of WHIP, and restarts
	// ICE by itself.
	NoOffers bool `json:"noOffers,omitempty"`
	// Rejected belongs to an Answer: the offer is not accepted, and why. Nothing changes. SDP may
	// be empty, and is not to be applied.
	Rejected string `json:"rejected,omitempty"`
	// AnswerRejected belongs to an Offer: the answer to the offer before could not be applied, and
	// why.
	AnswerRejected string `json:"answerRejected,omitempty"`
}

// Check returns why e must not be sent in a message of that type.
func (e *Extension) Check(typ Type) error {
	switch {
	case typ != Offer && typ != Answer:
		return fmt.Errorf("invalid %s: has an extension, which only offers and answers have", typ)
	case e.Version != ExtensionVersion:
		return fmt.Errorf("invalid extension: got version %d, want %d", e.Version, ExtensionVersion)
	case e.Number == 0 || e.Number > MaxOfferNumber || e.Processed > MaxOfferNumber:
		return fmt.Errorf("invalid extension: got number %d and processed %d, want 1 and 0 to %d", e.Number, e.Processed, uint64(MaxOfferNumber))
	case e.Processed != 0 && typ != Offer:
		return fmt.Errorf("invalid %s: has Processed, which only an offer has", typ)
	case e.NoOffers && typ != Offer:
		return fmt.Errorf("invalid %s: has NoOffers, which only an offer has", typ)
	case e.Rejected != "" && typ != Answer:
		return fmt.Errorf("invalid %s: has Rejected, which only an answer has", typ)
	case e.AnswerRejected != "" && typ != Offer:
		return fmt.Errorf("invalid %s: has AnswerRejected, which only an offer has", typ)
	}
	return nil
}

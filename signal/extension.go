package signal

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ExtensionVersion is the version of Extension that this package reads and writes.
const ExtensionVersion = 1

// maxReason bounds Rejected and AnswerRejected, in bytes.
const maxReason = 200

// maxNumber bounds Number and Processed: what JavaScript counts exactly.
const maxNumber = 1<<53 - 1

// Extension is the optional member parley of an offer or an answer. Servers forward it unread, and
// other peers ignore it. The section Extension of the package comment specifies it.
type Extension struct {
	// Version is ExtensionVersion.
	Version int `json:"version"`
	// Number counts the offers of the sender in the call, from 1. An answer repeats the number of its
	// offer.
	Number uint64 `json:"number"`
	// Processed belongs to an Offer: the number of the peer's latest offer that the sender has
	// answered or rejected, 0 for none.
	Processed uint64 `json:"processed,omitempty"`
	// Browser reports that the sender is a browser, which is the impolite peer when its offer and
	// that of a terminal cross.
	Browser bool `json:"browser,omitempty"`
	// Rejected belongs to an Answer: the offer is not accepted, and why. Nothing changes. SDP may be
	// empty, and is not to be applied.
	Rejected string `json:"rejected,omitempty"`
	// AnswerRejected belongs to an Offer: the answer to the offer before could not be applied, and
	// why.
	AnswerRejected string `json:"answerRejected,omitempty"`
}

// check returns why e must not be sent in a message of that type.
func (e *Extension) check(typ Type) error {
	switch {
	case typ != Offer && typ != Answer:
		return fmt.Errorf("invalid %s: has an extension, which only offers and answers have", typ)
	case e.Version != ExtensionVersion:
		return fmt.Errorf("invalid extension: got version %d, want %d", e.Version, ExtensionVersion)
	case e.Number == 0 || e.Number > maxNumber || e.Processed > maxNumber:
		return fmt.Errorf("invalid extension: got number %d and processed %d, want 1 and 0 to %d", e.Number, e.Processed, uint64(maxNumber))
	case e.Processed != 0 && typ != Offer:
		return fmt.Errorf("invalid %s: has Processed, which only an offer has", typ)
	case e.Rejected != "" && typ != Answer:
		return fmt.Errorf("invalid %s: has Rejected, which only an answer has", typ)
	case e.AnswerRejected != "" && typ != Offer:
		return fmt.Errorf("invalid %s: has AnswerRejected, which only an offer has", typ)
	}
	return nil
}

// extensionOf reads the member parley of an offer or an answer. It returns nil if value is absent,
// malformed, or of another version.
func extensionOf(value []byte, typ Type) *Extension {
	o, ok := openObject(value)
	if !ok {
		return nil
	}
	members := lastOf(o, "version", "number", "processed", "browser", "rejected", "answerRejected")
	e := &Extension{Version: ExtensionVersion, Number: number(members["number"])}
	if e.Number == 0 || number(members["version"]) != ExtensionVersion {
		return nil
	}
	if processed, ok := members["processed"]; ok && typ == Offer {
		if e.Processed = number(processed); e.Processed == 0 && string(processed) != "0" {
			return nil
		}
	}
	if browser, ok := members["browser"]; ok {
		if e.Browser = isTrue(browser); !e.Browser && string(browser) != "false" {
			return nil
		}
	}
	name, reason := "answerRejected", &e.AnswerRejected
	if typ == Answer {
		name, reason = "rejected", &e.Rejected
	}
	if text, ok := members[name]; ok {
		if !isString(text) {
			return nil
		}
		*reason = cleanReason(string(unquoteBytes(text)))
	}
	return e
}

// cleanReason returns text as printable ASCII of 1 to maxReason bytes.
func cleanReason(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text))
	text = strings.TrimSpace(text[:min(len(text), maxReason)])
	if text == "" {
		return "no reason given"
	}
	return text
}

// appendExtension appends e as JSON, with its reasons made printable.
func appendExtension(dst []byte, e Extension) []byte {
	for _, reason := range []*string{&e.Rejected, &e.AnswerRejected} {
		if *reason != "" {
			*reason = cleanReason(*reason)
		}
	}
	text, err := json.Marshal(e)
	if err != nil { // impossible: strings, a number and a bool
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

package signal

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ExtensionVersion is the version of Extension that this package reads and writes.
const ExtensionVersion = 1

const (
	// maxExtensionID bounds the ID of an Extension, in bytes.
	maxExtensionID = 32
	// maxReason bounds Rejected and AnswerRejected, in bytes.
	maxReason = 200
)

// Extension is the optional member parley of an offer or an answer. Servers forward it unread, and
// other peers ignore it. The section Extension of the package comment specifies it.
type Extension struct {
	// Version is ExtensionVersion.
	Version int `json:"version"`
	// ID is chosen by the offerer and unique within the call: 1 to 32 ASCII letters and digits. An
	// answer repeats the ID of its offer.
	ID string `json:"id"`
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
	case !isExtensionID(e.ID):
		return fmt.Errorf("invalid extension: got ID %.40q, want 1 to %d ASCII letters and digits", e.ID, maxExtensionID)
	case e.Rejected != "" && typ != Answer:
		return fmt.Errorf("invalid %s: has Rejected, which only an answer has", typ)
	case e.AnswerRejected != "" && typ != Offer:
		return fmt.Errorf("invalid %s: has AnswerRejected, which only an offer has", typ)
	}
	return nil
}

func isExtensionID(id string) bool {
	if id == "" || len(id) > maxExtensionID {
		return false
	}
	for _, c := range []byte(id) {
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// extensionOf reads the member parley of an offer or an answer. It returns nil if value is absent,
// malformed, or of another version.
func extensionOf(value []byte, typ Type) *Extension {
	o, ok := openObject(value)
	if !ok {
		return nil
	}
	members := lastOf(o, "version", "id", "browser", "rejected", "answerRejected")
	e := &Extension{Version: ExtensionVersion}
	if e.ID, ok = unquote(members["id"]); !ok || !isExtensionID(e.ID) || number(members["version"]) != ExtensionVersion {
		return nil
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

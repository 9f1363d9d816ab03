package wire

import (
	"encoding/json"
	"strings"

	"parley/signal"
)

// parseExtension reads the member parley of an offer or an answer. It returns nil if value is
// absent, malformed, or of another version.
func parseExtension(value []byte, typ signal.Type) *signal.Extension {
	o, ok := openObject(value)
	if !ok {
		return nil
	}
	members := lastMembers(o, "version", "number", "processed", "browser", "noOffers", "rejected", "answerRejected")
	e := &signal.Extension{Version: signal.ExtensionVersion, Number: number(members["number"])}
	if e.Number == 0 || number(members["version"]) != signal.ExtensionVersion {
		return nil
	}
	if processed, ok := members["processed"]; ok && typ == signal.Offer {
		if e.Processed = number(processed); e.Processed == 0 && string(processed) != "0" {
			return nil
		}
	}
	if browser, ok := members["browser"]; ok {
		if e.Browser = isTrue(browser); !e.Browser && string(browser) != "false" {
			return nil
		}
	}
	if none, ok := members["noOffers"]; ok && typ == signal.Offer {
		if e.NoOffers = isTrue(none); !e.NoOffers && string(none) != "false" {
			return nil
		}
	}
	name, reason := "answerRejected", &e.AnswerRejected
	if typ == signal.Answer {
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

// cleanReason returns text as printable ASCII of 1 to MaxReason bytes.
func cleanReason(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text))
	text = strings.TrimSpace(text[:min(len(text), signal.MaxReason)])
	if text == "" {
		return "no reason given"
	}
	return text
}

// appendExtension appends e as JSON, with its reasons made printable.
func appendExtension(dst []byte, e signal.Extension) []byte {
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

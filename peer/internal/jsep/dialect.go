package jsep

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// What two parleys say to each other in their descriptions. This file can go once signaling has
// messages for it.

const (
	// OfferName in "s=" of an offer tells another parley, page or terminal, that this side resolves
	// glare by name. Browsers write "-", and ignore it.
	OfferName = "parley"
	// AnswerName is that of an answer: Janus copies the name of an offer to its answer, and is no
	// parley for that.
	AnswerName = "parley-answer"
	// requestAttribute makes an offer without sections a request for an offer: in a call that is up,
	// the polite one of two parleys makes none, and asks the other.
	//
	//	a=parley-wish:video audio   sections to send one more of each
	//	a=parley-wish:ice           an ICE restart
	//	a=parley-wish:answer        nothing more: what changed is in the answer
	//	a=parley-wish:path          an ICE restart, if that side receives nothing either
	requestAttribute = "parley-wish"
	// rejectionAttribute in an answer says why the offer was rejected, and in an offer why the
	// answer before it was. A rejection has no sections if there is no answer that changes nothing.
	rejectionAttribute = "parley-refusal"
)

// PathRequest in an OfferRequest asks for an ICE restart if the peer receives nothing either.
const PathRequest = "path"

// maxReason is the length of a reason in bytes.
const maxReason = 200

// Dialect is what a description says in parley's dialect.
type Dialect struct {
	Parley          bool     // the peer, which offers, resolves glare by name
	ParleyAnswer    bool     // the peer, which answers, does
	OfferRequest    []string // not nil: the peer asks for an offer
	Rejection       string   // not "": why the peer rejected our offer; safe to print
	AnswerRejection string   // not "": why the peer rejected our answer; safe to print
	bare            bool     // there are no sections
}

// IsRejection reports whether the description rejects an offer and has no sections.
func (d Dialect) IsRejection() bool { return d.Rejection != "" && d.bare }

// DialectOf returns what a description says in the dialect.
func DialectOf(parsed *sdp.SessionDescription) Dialect {
	name := string(parsed.SessionName)
	d := Dialect{
		Parley: name == OfferName, ParleyAnswer: name == AnswerName, bare: len(parsed.MediaDescriptions) == 0,
		Rejection: rejectionOf(parsed, AnswerName), AnswerRejection: rejectionOf(parsed, OfferName),
	}
	if value, ok := parsed.Attribute(requestAttribute); ok && d.bare && d.Parley {
		words := strings.Fields(value)
		d.OfferRequest = append([]string{}, words[:min(len(words), MaxSections)]...)
	}
	return d
}

// rejectionOf returns the reason in a description of that session name, "" if it rejects nothing.
func rejectionOf(parsed *sdp.SessionDescription, name string) string {
	value, ok := parsed.Attribute(rejectionAttribute)
	if !ok || string(parsed.SessionName) != name {
		return ""
	}
	return cmp.Or(Printable(value), "no reason given")
}

// Printable returns a reason as it goes over the wire: one line of ASCII.
func Printable(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, reason)
	return reason[:min(len(reason), maxReason)]
}

// RequestOffer returns the description that asks the peer for an offer. local is our description
// in force, by which the peer sees from which connection it is.
func RequestOffer(local string, words ...string) (string, error) {
	if local == "" {
		return "", errors.New("there is no description of ours to renew")
	}
	parsed, err := Unmarshal(local)
	if err != nil {
		return "", err
	}
	for _, key := range []string{"fingerprint", "ice-ufrag", "ice-pwd"} {
		if _, ok := parsed.Attribute(key); !ok {
			parsed.WithValueAttribute(key, firstAttribute(parsed, key))
		}
	}
	parsed.MediaDescriptions = nil
	parsed.Attributes = slices.DeleteFunc(parsed.Attributes, func(a sdp.Attribute) bool { return a.Key == "group" })
	parsed.WithValueAttribute(requestAttribute, strings.Join(words, " "))
	parsed.SessionName = OfferName
	return Marshal(parsed)
}

// Reject returns the answer that rejects an offer of which no call is made, "" if the peer would
// not understand it.
func Reject(offer string, why error) string {
	if !strings.Contains(offer, "\ns="+OfferName+"\r\n") {
		return ""
	}
	return BareRejection(why.Error())
}

// BareRejection returns a rejection without sections.
func BareRejection(why string) string {
	return "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=" + AnswerName + "\r\nt=0 0\r\na=" + rejectionAttribute + ":" + Printable(why) + "\r\n"
}

// WithRejection adds the reason to an answer that changes nothing.
func WithRejection(answer *sdp.SessionDescription, why string) {
	answer.WithValueAttribute(rejectionAttribute, Printable(why))
}

// Purpose reports whether a description has sections, and why it rejects an offer, "" if it does
// not; the reason is safe to print. What is no SDP counts as having sections.
func Purpose(text string) (sections bool, rejection string) {
	parsed, err := Unmarshal(text)
	if err != nil {
		return true, ""
	}
	d := DialectOf(parsed)
	return !d.bare, d.Rejection
}

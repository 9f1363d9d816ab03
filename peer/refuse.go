package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// A refusal is the answer to an offer that is not taken in a call that is up. SDP
// has no word for no, and without an answer the other side could never offer
// anything again; so it repeats what is in force, and rejects what is new (port 0,
// RFC 3264 §6). Every peer takes that for an answer, and the call stays as it was.
// To another parley it says why:
//
//	a=parley-refusal:the reason, in one sentence
//
// The refusal of a wish has no sections, as the wish has none. Nor has that of a page, and
// of an offer of a parley to which there is no such answer: one that restarts ICE, as the
// old path is not the one it would speak of, and one that a call begins with. Who is
// refused so makes the answer itself (unchanged).
//
// The same line in an offer tells why the answer before it could not be taken.
const refusalAttribute = "parley-refusal"

// ErrRefused is why a change did not come about that the other side has refused.
var ErrRefused = errors.New("the other side refused it")

// maxReason is the length of a reason at most, in bytes.
const maxReason = 200

// refuse tells the other side that its offer was not taken.
func (c *Call) refuse(ctx context.Context, offer string, why error) error {
	text, err := c.refusal(offer, reason(why.Error()))
	if err != nil {
		c.cfg.Logger.Debug("offer refused in silence", "error", err)
		return nil
	}
	return c.sent(c.cfg.Signaler.Answer(ctx, text))
}

// reason is a reason as it goes over the wire, or came by it: one line.
func reason(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxReason)]
}

// refusalOf is the reason in a description that refuses, "" if it does not: an
// answer, or by its name an offer.
func refusalOf(parsed *sdp.SessionDescription, name string) string {
	value, ok := parsed.Attribute(refusalAttribute)
	if !ok || string(parsed.SessionName) != name {
		return ""
	}
	return cmp.Or(reason(value), "no reason given")
}

// Purpose tells what a description on the wire is for. One without sections is
// applied by nobody: it wishes for an offer, or refuses one. why is the reason of an
// answer that refuses, with sections or without, safe to print. What is no SDP counts as having sections.
func Purpose(description string) (sections bool, why string) {
	parsed := &sdp.SessionDescription{}
	if err := parsed.UnmarshalString(description); err != nil {
		return true, ""
	}
	return len(parsed.MediaDescriptions) > 0, refusalOf(parsed, answerName)
}

// refusal is the answer that changes nothing.
func (c *Call) refusal(offer, why string) (string, error) {
	theirs := &sdp.SessionDescription{}
	if err := theirs.UnmarshalString(offer); err != nil {
		return "", err
	}
	if len(theirs.MediaDescriptions) > maxSections {
		return "", errors.New("it has too many sections")
	}
	parley := string(theirs.SessionName) == sessionName
	local, err := c.described((*webrtc.PeerConnection).CurrentLocalDescription, func(conn *connection, text string) string {
		return marked(conn.meant(text), answerName, conn.setup)
	})
	remote, err2 := c.described((*webrtc.PeerConnection).CurrentRemoteDescription, nil)
	if local == "" || remote == "" {
		return bareRefusal(parley, why, "nothing is in force")
	}
	before, ours := &sdp.SessionDescription{}, &sdp.SessionDescription{}
	if err := errors.Join(err, err2, before.UnmarshalString(remote), ours.UnmarshalString(local)); err != nil {
		return "", err
	}
	_, wish := wishOf(theirs)
	switch {
	case len(theirs.MediaDescriptions) == 0:
		return bareRefusal(wish, why, "it has no sections")
	case c.restarts(theirs, before):
		return bareRefusal(parley, why, "it restarts ICE")
	}
	if !keepInForce(ours, theirs) {
		return "", errors.New("it has none of the sections in force")
	}
	ours.WithValueAttribute(refusalAttribute, why)
	text, err := ours.Marshal()
	return string(text), err
}

// restarts tells if an offer starts ICE anew.
func (c *Call) restarts(offer, before *sdp.SessionDescription) bool {
	if !c.unbundled {
		return firstAttribute(offer, "ice-ufrag") != firstAttribute(before, "ice-ufrag")
	}
	for i, m := range offer.MediaDescriptions[:min(len(offer.MediaDescriptions), len(before.MediaDescriptions))] {
		now, _ := m.Attribute("ice-ufrag")
		then, _ := before.MediaDescriptions[i].Attribute("ice-ufrag")
		if now != "" && then != "" && now != then {
			return true
		}
	}
	return false
}

// textOf is the text of a description, "" for none.
func textOf(d *webrtc.SessionDescription) string {
	if d == nil {
		return ""
	}
	return d.SDP
}

// bareRefusal is a refusal without sections, for those that understand one; else
// the error says why there is none.
func bareRefusal(understood bool, why, otherwise string) (string, error) {
	if !understood {
		return "", errors.New(otherwise)
	}
	return "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=" + answerName + "\r\nt=0 0\r\na=" + refusalAttribute + ":" + reason(why) + "\r\n", nil
}

// Refusal is the answer to an offer of which no call is made, "" for a peer that
// would not understand it.
func Refusal(offer string, why error) string {
	text, _ := bareRefusal(strings.Contains(offer, "\ns="+sessionName+"\r\n"), why.Error(), "it is no parley")
	return text
}

// unchanged is the answer to our offer that is out by which nothing changes: that
// of the other side, had it made one; restarts tells that the offer restarts ICE.
func (c *Call) unchanged() (text string, restarts bool, err error) {
	out, err := c.described((*webrtc.PeerConnection).PendingLocalDescription, (*connection).plain)
	local, err2 := c.described((*webrtc.PeerConnection).CurrentLocalDescription, (*connection).plain)
	remote, err3 := c.described((*webrtc.PeerConnection).CurrentRemoteDescription, func(conn *connection, text string) string {
		return marked(text, answerName, opposite(conn.setup))
	})
	if out == "" || local == "" || remote == "" {
		return "", false, errors.New("nothing is in force")
	}
	asked, before, theirs := &sdp.SessionDescription{}, &sdp.SessionDescription{}, &sdp.SessionDescription{}
	if err := errors.Join(err, err2, err3, asked.UnmarshalString(out), before.UnmarshalString(local), theirs.UnmarshalString(remote)); err != nil {
		return "", false, err
	}
	if !keepInForce(theirs, asked) {
		return "", false, errors.New("it has none of the sections in force")
	}
	answer, err := theirs.Marshal()
	return string(answer), c.restarts(asked, before), err
}

// described is one of Pion's descriptions of all connections, "" for none, with
// the names of the wire; edit may change that of a connection.
func (c *Call) described(which func(*webrtc.PeerConnection) *webrtc.SessionDescription, edit func(*connection, string) string) (string, error) {
	return c.together(func(conn *connection) (string, error) {
		text := textOf(which(conn.pc))
		if edit != nil && text != "" {
			text = edit(conn, text)
		}
		return renamedMid(text, conn.pionsDataMid(), conn.wireMid), nil
	})
}

// keepInForce gives our description the sections of an offer: those in force as
// they are, all others rejected. False: none is in force.
func keepInForce(ours, offer *sdp.SessionDescription) bool {
	names := map[string]string{} // those in the offer of ours that stay
	var sections []*sdp.MediaDescription
	for i, asked := range offer.MediaDescriptions {
		mid, _ := asked.Attribute("mid")
		section := rejected(asked, mid)
		was := ""
		if i < len(ours.MediaDescriptions) && continues(ours.MediaDescriptions[i], asked) {
			was, _ = ours.MediaDescriptions[i].Attribute("mid")
			section = within(ours.MediaDescriptions[i], asked)
			left := narrowed(direction(section, ours), Section{Direction: direction(asked, offer)})
			section.Attributes = slices.DeleteFunc(section.Attributes, func(a sdp.Attribute) bool {
				return a.Key == "mid" || webrtc.NewRTPTransceiverDirection(a.Key) != webrtc.RTPTransceiverDirectionUnknown
			})
			section.WithValueAttribute("mid", mid)
			if section.MediaName.Media != "application" {
				section.WithPropertyAttribute(left.String())
			}
			names[was] = mid
		}
		sections = append(sections, section)
	}
	groups := bundles(ours)
	ours.MediaDescriptions = sections
	ours.Attributes = slices.DeleteFunc(ours.Attributes, func(a sdp.Attribute) bool { return a.Key == "group" })
	for _, group := range groups {
		line := "BUNDLE"
		for _, mid := range group {
			if name, ok := names[mid]; ok {
				line += " " + name
			}
		}
		ours.WithValueAttribute("group", line)
	}
	return len(names) > 0
}

// continues tells if an offered section is the one that is in force. The data
// section may have another mid here than on the wire, see mid.go.
func continues(ours, asked *sdp.MediaDescription) bool {
	was, _ := ours.Attribute("mid")
	mid, _ := asked.Attribute("mid")
	_, bundled := asked.Attribute("bundle-only")
	return ours.MediaName.Media == asked.MediaName.Media && ours.MediaName.Port.Value != 0 && mid != "" &&
		(asked.MediaName.Port.Value != 0 || bundled) && (was == mid || ours.MediaName.Media == "application")
}

// within is a section of ours with nothing that is not offered: it may be of an
// offer itself, and Firefox takes no answer with an extension or a codec more.
func within(section, asked *sdp.MediaDescription) *sdp.MediaDescription {
	word := func(value string, n int) string { return append(strings.Fields(value), "", "")[n] }
	offered, formats := map[string]bool{}, []string{}
	for _, a := range asked.Attributes {
		if a.Key == "extmap" {
			offered[word(a.Value, 1)] = true
		}
	}
	for _, format := range section.MediaName.Formats {
		if slices.Contains(asked.MediaName.Formats, format) {
			formats = append(formats, format)
		}
	}
	if len(formats) == 0 {
		formats = section.MediaName.Formats
	}
	section.MediaName.Formats = formats
	section.Attributes = slices.DeleteFunc(section.Attributes, func(a sdp.Attribute) bool {
		switch a.Key {
		case "extmap":
			return !offered[word(a.Value, 1)]
		case "rtpmap", "fmtp", "rtcp-fb":
			return !slices.Contains(formats, word(a.Value, 0)) && word(a.Value, 0) != "*"
		}
		return false
	})
	return section
}

// rejected is the answer to a section that is not taken. It repeats the codecs,
// because Pion wants to know of one even there.
func rejected(asked *sdp.MediaDescription, mid string) *sdp.MediaDescription {
	m := &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: asked.MediaName.Media, Protos: asked.MediaName.Protos, Formats: asked.MediaName.Formats},
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}},
	}
	for _, a := range asked.Attributes {
		if a.Key == "rtpmap" || a.Key == "fmtp" {
			m.Attributes = append(m.Attributes, a)
		}
	}
	return m.WithValueAttribute("mid", mid)
}

// refused takes the refusal of our latest offer, which was applied as any answer
// is, or of our wish for one: the changes that were in it are taken back.
func (c *Call) refused(d *Description) {
	err := fmt.Errorf("%w: %s", ErrRefused, d.refusal)
	c.cfg.OnEvent(Warned{fmt.Sprintf("a change was not negotiated: %v", err)})
	c.takeBack()
	c.settle(err)
}

// takeBack undoes the changes of a negotiation that has failed.
func (c *Call) takeBack() {
	for _, p := range slices.Backward(c.underWay) {
		p.undo()
	}
}

// bareRefused takes a refusal without sections: of our wish, or of our offer. One
// of nothing is ignored.
func (c *Call) bareRefused(ctx context.Context, d *Description) error {
	switch {
	case c.state.phase == offering && !c.conns[0].remoteSet:
		return &Error{Negotiation, fmt.Errorf("no call came about: %w: %s", ErrRefused, d.refusal)}
	case c.state.phase == offering:
		return c.offerRefused(ctx, d)
	case c.state.wished:
		c.underWay, c.asked, c.wishesICE = append(c.underWay, c.asked...), nil, false
		c.refused(d)
		return c.negotiate(ctx, wishRefused, nil)
	}
	c.cfg.Logger.Debug("refusal ignored: nothing was asked for")
	return nil
}

// offerRefused takes the refusal of our offer in a call that is up. If that was to
// restart ICE, Pion has given the old path up already, so it is tried once more,
// without the change that may have been in it.
func (c *Call) offerRefused(ctx context.Context, d *Description) error {
	text, restarts, err := c.unchanged()
	if err != nil {
		return err
	}
	answer, err := Describe(text)
	if err != nil {
		return err
	}
	answer.refusal = d.refusal
	if again := restarts && time.Since(c.restarted) >= wishInterval; again {
		c.restart, c.restarted = true, time.Now()
	}
	if err := c.negotiate(ctx, parleyAnswer, answer); err != nil || !c.restart {
		return err
	}
	return c.negotiate(ctx, wantOffer, nil)
}

package peer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// A wish is an offer without media sections: "make me an offer". In a call that
// is up, the parley that would lose a glare makes no offers (negotiate.go), so
// it asks the other for one. It goes over the wire as an offer, because the
// original servers pass nothing else on, and only to another parley. See
// jsep.RequestOffer. The wish for another path comes from both sides, see restart.go.

// makeWish asks the other side for an offer.
func (c *Call) makeWish(ctx context.Context) error {
	conn := c.conns[0]
	var wish []string
	c.wishesICE = c.wishesICE || c.restart // until the offer comes: the wish may be said again
	if c.wishesICE {
		wish = append(wish, "ice")
	}
	c.restart = false
	for _, kind := range conn.homeless() {
		wish = append(wish, kind.String())
	}
	if len(wish) == 0 {
		wish = []string{"answer"}
	}
	c.asking = time.Now()
	text, err := jsep.RequestOffer(textOf(conn.pc.LocalDescription()), wish...)
	if err != nil {
		return &Error{Negotiation, err}
	}
	return c.sent(c.cfg.Signaler.Offer(ctx, text))
}

// homeless are the kinds of our tracks that are in no section yet.
func (c *connection) homeless() []webrtc.RTPCodecType {
	var kinds []webrtc.RTPCodecType
	takes := map[string]bool{}
	for _, s := range c.theirs {
		takes[s.Mid] = !s.Rejected
	}
	for _, t := range c.pc.GetTransceivers() {
		if out := c.localTrackOf(t); out != nil && out.Local() != nil && !takes[t.Mid()] {
			kinds = append(kinds, t.Kind())
		}
	}
	return kinds
}

// heeds tells if a wish is of concern: not to who makes no offers, and one for
// another path only to who hears nothing, for it may have come late, by a server
// that could not be reached either.
func (c *Call) heeds(d *jsep.Description) bool {
	if slices.Contains(d.OfferRequest, jsep.PathRequest) && (c.was != webrtc.PeerConnectionStateDisconnected || c.state.phase != stable) {
		return false
	}
	return !c.state.yields()
}

// grant prepares the offer that the other side wishes for.
func (c *Call) grant(d *jsep.Description) error {
	conn := c.conns[0]
	if !conn.remoteSet {
		return &Error{Negotiation, errors.New("it asks for an offer in a call that has none")}
	}
	var kinds []webrtc.RTPCodecType
	for _, word := range d.OfferRequest {
		if word == "ice" || word == jsep.PathRequest {
			if time.Since(c.restarted) >= wishInterval {
				c.restart, c.restarted = true, time.Now()
			}
		} else if kind := webrtc.NewRTPCodecType(word); kind != 0 {
			kinds = append(kinds, kind)
		}
	}
	if c.layout.Unbundled && len(kinds) > 0 {
		return &Error{Negotiation, errNotBundled}
	}
	return conn.makeRoom(kinds)
}

// makeRoom adds a section for each kind. Those that the other side knows do not
// count, even where it sends nothing: it would use them without asking, if it
// could, but what it has there may be of another codec.
func (c *connection) makeRoom(kinds []webrtc.RTPCodecType) error {
	known := map[string]bool{}
	for _, s := range c.theirs {
		known[s.Mid] = true
	}
	room := map[webrtc.RTPCodecType]int{}
	sections := 1 // of data
	for _, t := range c.pc.GetTransceivers() {
		sections++
		if mine := (jsep.Section{Direction: t.Direction()}); mine.Receives() && !known[t.Mid()] && !c.phantom(t) {
			room[t.Kind()]++
		}
	}
	kinds = slices.DeleteFunc(kinds, func(kind webrtc.RTPCodecType) bool {
		room[kind]--
		return room[kind] >= 0
	})
	if sections+len(kinds) > jsep.MaxSections {
		return &Error{Negotiation, errors.New("it asks for more sections than a call may have")}
	}
	for _, kind := range kinds {
		init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		if _, err := c.pc.AddTransceiverFromKind(kind, init); err != nil {
			return &Error{Negotiation, err}
		}
	}
	return nil
}

package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/icenet"
	"parley/peer/internal/jsep"
)

// description takes an offer or answer. What is wrong with it ends a call that
// has not begun; in a call that is up it changes nothing.
func (c *Call) description(ctx context.Context, text string, offer bool) error {
	c.heard = true
	d, err := jsep.Parse(text)
	if err == nil && d.OfferRequest != nil {
		if !c.heeds(d) {
			return nil
		}
		err = c.grant(d)
	}
	bare := err == nil && d.IsRejection()
	switch {
	case bare && offer:
		err = errors.New("invalid offer: contains a rejection attribute")
	case bare:
		err = c.bareRefused(ctx, d)
	case err == nil && !offer && c.splits(d):
		err = c.negotiate(ctx, splitAnswer, d)
	case err == nil:
		err = c.negotiate(ctx, eventOf(d, offer), d)
	}
	var refused *Error
	if err == nil || errors.As(err, &refused) && refused.Stage != Negotiation {
		return err
	}
	if c.conns[0].remoteSet {
		c.cfg.OnEvent(Warned{fmt.Sprintf("ignored a new description: %v", err)})
		if offer {
			return c.refuse(ctx, text, err)
		}
		return nil
	}
	if offer {
		_ = c.refuse(ctx, text, err) // the call is over, told or not
	}
	if !errors.As(err, &refused) {
		err = &Error{Negotiation, err}
	}
	return err
}

func eventOf(d *jsep.Description, offer bool) negotiationEvent {
	switch {
	case d.OfferRequest != nil:
		return theirWish
	case offer && d.Parley:
		return parleyOffer
	case offer:
		return foreignOffer
	case d.ParleyAnswer:
		return parleyAnswer
	default:
		return foreignAnswer
	}
}

// negotiate asks the negotiation what to do, and does it.
func (c *Call) negotiate(ctx context.Context, e negotiationEvent, d *jsep.Description) error {
	next, actions := c.state.next(e)
	c.state = next
	for _, a := range actions {
		if err := c.carryOut(ctx, a, d); err != nil {
			switch a {
			case takeAnswer, separate:
				c.state, _ = c.state.next(answerRejected)
			case takeOffer:
				c.underWay, c.asked = append(c.underWay, c.asked...), nil // what it was wished for
				c.takeBack()
			}
			c.settle(err)
			return err
		}
	}
	return nil
}

func (c *Call) carryOut(ctx context.Context, a negotiationAction, d *Description) error {
	switch a {
	case makeOffer:
		return c.makeOffer(ctx)
	case takeOffer:
		return c.takeOffer(ctx, d)
	case takeAnswer:
		return c.takeAnswer(d)
	case separate:
		return c.separate(ctx, d)
	case startOver:
		return c.startOver()
	case makeWish:
		return c.makeWish(ctx)
	case ignoreOffer:
		c.cfg.Logger.Debug("offer ignored: ours stands")
		c.conns[0].progress.crossed = true
	case ignoreAnswer:
		c.cfg.Logger.Debug("answer ignored: there is no offer")
	}
	return nil
}

func (c *Call) makeOffer(ctx context.Context) error {
	if conn := c.conns[0]; !conn.remoteSet {
		if err := errors.Join(conn.offerTracks(&c.cfg), conn.nameSections()); err != nil {
			return &Error{Negotiation, err}
		}
		c.muteAgain()
		if err := c.openChannels(conn, false); err != nil {
			return err
		}
	}
	c.underWay, c.asked = append(c.underWay, c.asked...), nil
	return c.sayOffer(ctx)
}

// sayOffer sends an offer of all connections.
func (c *Call) sayOffer(ctx context.Context) error {
	text, err := c.together(func(conn *connection) (*sdp.SessionDescription, error) {
		return conn.offer(&c.cfg, c.restart && conn.remoteSet)
	})
	c.restart = false
	if err != nil {
		return &Error{Negotiation, err}
	}
	if c.fresh() && c.box.holds(isOffer) {
		return c.negotiate(ctx, overtaken, nil)
	}
	c.begin()
	c.asking, c.again = time.Now(), 0
	return c.sent(c.cfg.Signaler.Offer(ctx, text))
}

// isOffer tells if a message is an offer. Whoever called while our own first offer was
// made is answered: there is no glare that way, and no browser has to take an offer
// back, which it may not survive (stuckHint).
func isOffer(message any) bool {
	_, ok := message.(deliveredOffer)
	return ok
}

// openChannels opens the channels of the configuration; text goes by the first
// of them that is told by events.
func (c *Call) openChannels(conn *connection, answering bool) error {
	for _, o := range c.cfg.Channels {
		if !o.Detached && (!answering || o.Negotiated) {
			c.text.label, c.text.named = o.Label, true
			break
		}
	}
	if err := conn.openChannels(c.cfg.Channels, answering); err != nil {
		return &Error{Negotiation, err}
	}
	return nil
}

// acceptable tells what is wrong with a description, before it changes anything.
func (c *Call) acceptable(d *jsep.Description, answer bool) ([]part, error) {
	parts, err := c.arrange(d, answer)
	if err == nil {
		err = c.verify(d, parts)
	}
	return parts, err
}

func (c *Call) takeAnswer(d *jsep.Description) error {
	if d.Setup == "actpass" {
		return errors.New("its answer leaves the DTLS role open (a=setup:actpass), as only an offer may")
	}
	parts, err := c.acceptable(d, true)
	if err != nil {
		return err
	}
	parts = c.retire(parts)
	if err := c.takeParts(parts); err != nil {
		return &Error{Negotiation, err}
	}
	c.muteAgain()
	c.know(d, parts)
	if d.Rejection != "" {
		c.refused(d)
		return nil
	}
	c.settle(nil)
	return nil
}

// takeParts applies the answer to an offer of several connections, or of one.
func (c *Call) takeParts(parts []part) error {
	for _, p := range parts {
		if p.Transport == nil {
			return errors.New("its answer has a section that is not in our offer")
		}
		if err := p.Transport.takeAnswer(&c.cfg, p.Description); err != nil {
			return err
		}
	}
	return nil
}

// takeOffer answers an offer, with one connection for each of its transports.
func (c *Call) takeOffer(ctx context.Context, d *jsep.Description) error {
	parts, err := c.acceptable(d, false)
	if err != nil {
		return err
	}
	if d.AnswerRejection != "" {
		c.cfg.OnEvent(Warned{"the other side could not take our answer: " + d.AnswerRejection})
	}
	c.begin()
	if !c.conns[0].remoteSet {
		if err := c.openChannels(c.conns[0], true); err != nil {
			return err
		}
	}
	parts = c.retire(parts)
	tracks := c.cfg.Tracks
	if c.conns[0].remoteSet {
		tracks = nil // they have their places
	}
	for i := range parts {
		if parts[i].Transport == nil {
			if err := c.joins(&parts[i]); err != nil {
				return err
			}
		}
		left, err := parts[i].Transport.takeOffer(&c.cfg, parts[i].Description, tracks)
		if err != nil {
			return &Error{Negotiation, err}
		}
		tracks = left
	}
	c.muteAgain()
	for _, t := range tracks {
		c.cfg.OnEvent(TrackRefused{t, fmt.Sprintf("its offer has no place for %s", t.Kind())})
	}
	c.know(d, parts)
	c.wishesICE = false
	if len(c.conns[0].homeless()) == 0 { // else the offer had no room yet
		c.underWay, c.asked = append(c.underWay, c.asked...), nil
		defer c.settle(nil)
	}
	return c.sendAnswer(ctx)
}

// sendAnswer sends the answer to the latest offer, unless a connection still
// gathers candidates for it.
func (c *Call) sendAnswer(ctx context.Context) error {
	if slices.ContainsFunc(c.conns, func(conn *connection) bool { return conn.answerHeld }) {
		return nil
	}
	text, err := c.together(func(conn *connection) (*sdp.SessionDescription, error) {
		if conn.offered == nil {
			return nil, nil
		}
		o := conn.meant()
		o.Offer, o.SessionName, o.Setup = conn.offered, jsep.AnswerName, conn.setup
		return jsep.ToWire(conn.pc.LocalDescription().SDP, o)
	})
	if err != nil {
		return &Error{Negotiation, err}
	}
	return c.sent(c.cfg.Signaler.Answer(ctx, text))
}

// sendHeldAnswer sends the answer that waited for all candidates.
func (c *Call) sendHeldAnswer(ctx context.Context, conn *connection) error {
	if !conn.answerHeld {
		return nil
	}
	conn.answerHeld = false
	return c.sendAnswer(ctx)
}

// startOver replaces the connection, and with it our offer. Candidates that
// came are of the offer that is about to be taken.
func (c *Call) startOver() error {
	conn, err := newConnection(&c.cfg, c.box)
	if err != nil {
		return err
	}
	c.text = textChannels{waiting: c.text.waiting}
	c.layout.Reset()
	c.replace([]*connection{conn})
	for _, w := range c.wanted {
		conn.openWanted(w)
	}
	return nil
}

// replace puts other connections in place of those that there are.
func (c *Call) replace(conns []*connection) {
	old := c.conns
	conns[0].progress.remote = old[0].progress.remote
	conns[0].seen.AddRemoteOf(old[0].seen)
	c.conns, c.was = conns, webrtc.PeerConnectionStateNew
	c.mu.Lock()
	c.live = slices.Clone(conns)
	c.mu.Unlock()
	for _, conn := range old {
		conn.close()
	}
}

// know notes which connection of the other side this call is with, and adds the
// candidates that came before its description.
func (c *Call) know(d *jsep.Description, parts []part) {
	c.again = 0
	c.mu.Lock()
	c.remote = &d.Identity
	c.mu.Unlock()
	c.current = d
	c.layout.Record(d, parts)
	for _, p := range parts {
		p.Transport.progress.described(p.Description)
	}
	early := c.early
	c.early = nil
	for _, init := range early {
		c.addCandidate(init)
	}
}

// candidate takes a candidate of the other side; the error says why not.
func (c *Call) candidate(init webrtc.ICECandidateInit) error {
	if strings.TrimSpace(init.Candidate) == "" { // the end (RFC 8838 §13)
		return nil
	}
	// libdatachannel passes on the whole line of the description, which browsers take as well.
	init.Candidate = strings.TrimPrefix(init.Candidate, "a=")
	cand, err := icenet.ParseCandidate(init.Candidate)
	if err != nil {
		return err
	}
	if c.taken++; c.taken > maxCandidates {
		return fmt.Errorf("it is one of more than %d", maxCandidates)
	}
	found := candidateEvent(true, cand)
	conn := c.connectionFor(init)
	conn.progress.remote[found.Type]++
	conn.seen.AddRemote(cand)
	c.cfg.OnEvent(found)
	if !c.conns[0].remoteSet {
		c.early = append(c.early, init)
		return nil
	}
	c.addCandidate(init)
	return nil
}

func (c *Call) addCandidate(init webrtc.ICECandidateInit) {
	if err := c.connectionFor(init).pc.AddICECandidate(init); err != nil {
		c.cfg.Logger.Debug("candidate refused", "error", err)
	}
}

// begin starts the clock of the call.
func (c *Call) begin() {
	if c.offered.IsZero() {
		c.offered = time.Now()
	}
}

// sent takes the error of sending a message. A call that is up goes on without
// its signaling.
func (c *Call) sent(err error) error {
	switch {
	case err == nil:
		return nil
	case c.was == webrtc.PeerConnectionStateConnected:
		c.cfg.OnEvent(Warned{fmt.Sprintf("a message to the other side was lost: %v", err)})
		return nil
	}
	return &Error{Signaling, err}
}

func (c *Call) sendCandidate(ctx context.Context, conn *connection, cand *webrtc.ICECandidate) error {
	if cand == nil {
		// The end of candidates is not sent: many peers written to the original
		// wire fail on a candidate without a line, and ICE does not need it.
		c.cfg.OnEvent(CandidatesDone{})
		return nil
	}
	if conn.redundant(cand) {
		return nil
	}
	found := iceCandidateEvent(false, cand)
	conn.seen.Add(false, cand)
	conn.progress.local[found.Type]++
	c.cfg.OnEvent(found)
	switch {
	case conn.answerHeld && conn.holdExpired:
		return c.sendHeldAnswer(ctx, conn) // this is its first candidate
	case conn.answerHeld:
		return nil // it will be in the answer
	case conn.holdExpired && c.taken == 0:
		return nil // the peer, which has sent no candidate either, does not trickle
	}
	init := cand.ToJSON()
	if s, ok := jsep.FirstActive(conn.sections); ok {
		index := uint16(s.Index)
		init.SDPMLineIndex, init.SDPMid = &index, &s.Mid
	}
	return c.sent(c.cfg.Signaler.Candidate(ctx, init))
}

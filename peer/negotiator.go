package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
	"parley/peer/internal/negotiation"
)

// peerKind is the kind of the peer, as far as it is known.
type peerKind int

const (
	unknownPeer peerKind = iota
	foreignPeer          // not a parley
	terminalPeer
	browserPeer // a parley page
)

// remoteDescription is a description of the peer, parsed.
type remoteDescription struct {
	message SessionDescription
	*jsep.Description
	candidates []webrtc.ICECandidateInit // that came for it while it was deferred
}

// A negotiator exchanges offers and answers as negotiation.Machine decides. The goroutine of
// Run uses it.
//
// Pion cannot roll back an offer (pion/webrtc#2133). So a later offer is created and sent, but
// SetLocalDescription is called only together with SetRemoteDescription, when an acceptable answer
// has come: until then the PeerConnection is stable, and an offer is rolled back by dropping it.
// The first offer is applied at once, because gathering begins with it; to roll it back, the
// PeerConnection is replaced.
type negotiator struct {
	cfg        *callConfig
	box        *mailbox
	transports *transports
	applier    *applier
	candidates *candidates
	changes    *changes
	signaling  *signaling

	state negotiation.Machine
	peer  peerKind

	due       time.Time               // when OfferTimedOut is to be reported
	sends     int                     // how often the offer that is out was sent
	resent    time.Time               // when the answer was sent again last
	sent      string                  // SDP of the offer that is out
	offer     *sdp.SessionDescription // the same, parsed, to check the answer against
	answer    SessionDescription      // sent last
	answered  string                  // SDP of the offer to which that is the answer
	deferred  *remoteDescription      // offer that was ignored
	restart   bool                    // the next offer restarts ICE
	restarts  bool                    // the offer that is out restarts ICE
	failure   error                   // why changes fail
	noOffers  bool                    // the peer accepts no offers
	rejection string                  // why the latest answer could not be applied, for the next offer
}

// established reports whether offer and answer have been applied once.
func (n *negotiator) established() bool { return n.state.Established }

// polite reports whether this side yields when two offers cross. Browsers roll back by themselves,
// so a peer that is not a parley is expected to yield.
func (n *negotiator) polite() bool {
	switch n.peer {
	case browserPeer:
		return true
	case terminalPeer:
		return !n.cfg.Impolite
	}
	return n.cfg.NoRenegotiation // a WHEP server may offer in place of an answer
}

// withParley reports whether the peer is a parley, terminal or page.
func (n *negotiator) withParley() bool { return n.peer == terminalPeer || n.peer == browserPeer }

// learn records the kind of the peer that sent a description.
func (n *negotiator) learn(x *Extension) {
	switch {
	case x == nil:
		n.peer = foreignPeer
	case x.Browser:
		n.peer = browserPeer
	default:
		n.peer = terminalPeer
	}
}

// needed starts a negotiation of changes of this side.
func (n *negotiator) needed(ctx context.Context) error {
	return n.next(ctx, negotiation.Needed{}, nil)
}

// tolerate reports an error of a negotiation of a connected call as a warning, and returns others.
func (n *negotiator) tolerate(err error) error {
	var failed *Error
	if errors.As(err, &failed) && failed.Stage == Negotiation && n.transports.established {
		n.cfg.OnEvent(Warned{fmt.Sprintf("a change was not negotiated: %v", err)})
		return nil
	}
	return err
}

// next handles an event by the state machine and carries out its actions.
func (n *negotiator) next(ctx context.Context, e negotiation.Event, r *remoteDescription) error {
	before := n.state.State
	state, actions := n.state.Next(e)
	n.state = state
	if state.State != before {
		n.cfg.OnEvent(SignalingStateChanged{signalingState(state.State)})
	}
	for _, a := range actions {
		if err := n.carryOut(ctx, a, r); err != nil {
			return err
		}
	}
	return nil
}

// signalingState returns the W3C name of a state.
func signalingState(s negotiation.State) webrtc.SignalingState {
	switch s {
	case negotiation.HaveLocalOffer:
		return webrtc.SignalingStateHaveLocalOffer
	case negotiation.HaveRemoteOffer:
		return webrtc.SignalingStateHaveRemoteOffer
	}
	return webrtc.SignalingStateStable
}

// carryOut carries out an action. r is the description of the event, nil for none.
func (n *negotiator) carryOut(ctx context.Context, a negotiation.Action, r *remoteDescription) error {
	switch a {
	case negotiation.CreateOffer:
		return n.createOffer(ctx)
	case negotiation.ResendOffer:
		return n.resendOffer(ctx)
	case negotiation.RollbackOffer:
		return n.rollback()
	case negotiation.ApplyOffer:
		return n.applyOffer(ctx, r)
	case negotiation.ApplyDeferredOffer:
		r, n.deferred = n.deferred, nil
		return n.applyOffer(ctx, r)
	case negotiation.ResendAnswer:
		if time.Since(n.resent) < answerPause {
			return nil
		}
		n.resent = time.Now()
		return n.signaling.send(ctx, func(ctx context.Context) error { return n.cfg.Signaler.Answer(ctx, n.answer) })
	case negotiation.ApplyAnswer:
		return n.applyAnswer(ctx, r)
	case negotiation.ConfirmChanges:
		n.forgetOffer()
		n.changes.confirm()
	case negotiation.FailChanges:
		if n.state.State != negotiation.HaveLocalOffer { // else the answer may still come
			n.forgetOffer()
		}
		n.changes.fail(n.failure)
		n.failure = errUnanswered
	case negotiation.IgnoreOffer:
		n.cfg.Logger.Debug("offer ignored: it crosses ours")
		n.transports.conns[0].progress.crossed = true
		n.deferred = r
	case negotiation.DropOffer:
		n.cfg.Logger.Debug("offer dropped: it is older than one that was processed")
	case negotiation.IgnoreAnswer:
		n.cfg.Logger.Debug("answer ignored: it answers no offer that is out")
	}
	return nil
}

// forgetOffer drops the offer that is out.
func (n *negotiator) forgetOffer() {
	n.sent, n.offer, n.restarts = "", nil, false
	for _, conn := range n.transports.conns {
		conn.forgetOffer()
	}
}

// createOffer creates an offer with the changes that wait, and sends it.
func (n *negotiator) createOffer(ctx context.Context) error {
	n.failure = errUnanswered
	if !n.established() {
		if err := n.applier.prepareFirstOffer(); err != nil {
			return &Error{Negotiation, err}
		}
	}
	n.changes.begin()
	text, err := n.describeOffer(n.restart && n.established())
	var offer *sdp.SessionDescription
	if err == nil {
		offer, err = jsep.Unmarshal(text)
	}
	switch {
	case err != nil && !n.established():
		return &Error{Negotiation, err}
	case err != nil:
		n.failure = err
		return n.next(ctx, negotiation.OfferFailed{}, nil)
	case !n.established() && n.box.holds(isOffer):
		return n.next(ctx, negotiation.Rollback{}, nil)
	}
	n.sent, n.offer, n.restarts, n.restart, n.sends = text, offer, n.restart, false, 0
	n.transports.startClock()
	return n.sendOffer(ctx)
}

// isOffer reports whether a message is an offer. An offer that came while our first offer was
// created is answered in its place. So there is no glare, and no browser has to roll back an offer,
// after which it may not gather candidates any more (stuckHint).
func isOffer(message any) bool {
	_, ok := message.(deliveredOffer)
	return ok
}

// describeOffer returns the SDP of an offer. restart restarts ICE.
func (n *negotiator) describeOffer(restart bool) (string, error) {
	return n.transports.mergeDescriptions(func(conn *connection) (*sdp.SessionDescription, error) {
		if err := conn.nameSections(n.established() && n.polite()); err != nil {
			return nil, err
		}
		return conn.offer(restart)
	})
}

// resendOffer sends the offer that is out again, the first one with the candidates found since.
func (n *negotiator) resendOffer(ctx context.Context) error {
	if !n.established() {
		text, err := n.transports.mergeDescriptions(func(conn *connection) (*sdp.SessionDescription, error) {
			return conn.offerToWire(textOf(conn.pc.LocalDescription()))
		})
		if err != nil {
			return &Error{Negotiation, err}
		}
		n.sent = text
	}
	return n.sendOffer(ctx)
}

// undelivered sends the first offer again, which the peer has not received.
func (n *negotiator) undelivered(ctx context.Context) error {
	if n.established() {
		return nil
	}
	n.sends = 0
	return n.next(ctx, negotiation.OfferUndelivered{}, nil)
}

// answerPause is the time between two retransmissions of an answer. Offers that waited for
// signaling to come back arrive all at once.
const answerPause = time.Second

// maxDoublings bounds the time between two transmissions of an offer.
const maxDoublings = 4

// sendOffer sends the offer that is out. From MaxOffers transmissions on the time to the next
// doubles: signaling keeps what it cannot deliver, and a server limits how much it accepts at once.
func (n *negotiator) sendOffer(ctx context.Context) error {
	n.due = time.Now().Add(n.cfg.Timeouts.Answer << min(max(0, n.sends+1-negotiation.MaxOffers), maxDoublings))
	n.sends++
	m := SessionDescription{SDP: n.sent}
	if n.peer != foreignPeer {
		m.Extension = &Extension{Number: n.state.OfferID, Processed: n.state.Processed, AnswerRejected: n.rejection}
	}
	n.rejection = ""
	return n.signaling.send(ctx, func(ctx context.Context) error { return n.cfg.Signaler.Offer(ctx, m) })
}

// rollback drops the offer that is out. Its changes wait for the next one.
func (n *negotiator) rollback() error {
	restart := n.restart || n.restarts
	n.forgetOffer()
	n.restart = restart
	if !n.established() {
		return n.applier.startOver()
	}
	n.changes.rollback()
	return nil
}

// checkTimeout handles the time-out of the offer that is out. Before the call is connected its
// owner decides how long to wait.
func (n *negotiator) checkTimeout(ctx context.Context) error {
	if !n.transports.established || !n.state.Waiting() || time.Now().Before(n.due) {
		return nil
	}
	n.due = time.Now().Add(n.cfg.Timeouts.Answer)
	return n.next(ctx, negotiation.OfferTimedOut{}, nil)
}

// remoteOffer handles an offer of the peer.
func (n *negotiator) remoteOffer(ctx context.Context, m SessionDescription) error {
	n.signaling.peerPresent = true
	m = m.valid()
	n.learn(m.Extension)
	n.noOffers = m.Extension != nil && m.Extension.NoOffers
	d, err := jsep.Parse(m.SDP)
	if err != nil {
		return n.reject(ctx, m, err)
	}
	e := negotiation.RemoteOffer{Polite: n.polite()}
	if x := m.Extension; x != nil {
		e.Number, e.Processed = x.Number, x.Processed
	} else if m.SDP == n.answered && n.answered != "" && n.state.State == negotiation.Stable {
		return n.carryOut(ctx, negotiation.ResendAnswer, nil)
	}
	return n.next(ctx, e, &remoteDescription{message: m, Description: d})
}

// applyOffer applies the peer's offer and sends the answer, or rejects it.
func (n *negotiator) applyOffer(ctx context.Context, r *remoteDescription) error {
	if x := r.message.Extension; x != nil && x.AnswerRejected != "" {
		n.cfg.OnEvent(Warned{"the peer could not apply our answer: " + jsep.Printable(x.AnswerRejected)})
	}
	before := n.applier.current
	if err := n.applier.acceptOffer(r.Description); err != nil {
		var failed *Error
		if errors.As(err, &failed) && failed.Stage != Negotiation {
			return err
		}
		if n.established() {
			if n.applier.isClosed() {
				return nil
			}
			if stuck := n.applier.restoreStable(); stuck != nil {
				return &Error{Negotiation, fmt.Errorf("%w; and the call cannot be negotiated any more: %w", err, stuck)}
			}
		}
		if err := n.reject(ctx, r.message, err); err != nil {
			return err
		}
		return n.next(ctx, negotiation.RemoteOfferFailed{}, nil)
	}
	if before != nil && !n.transports.layout.Unbundled && jsep.RestartsICE(before.SDP(), r.SDP(), true) {
		n.restart = false // the offer has restarted ICE for both
	}
	n.answered, n.answer = r.message.SDP, SessionDescription{}
	if x := r.message.Extension; x != nil {
		n.answer.Extension = &Extension{Number: x.Number}
	}
	for _, init := range r.candidates {
		n.candidates.add(init)
	}
	return n.sendAnswer(ctx)
}

// sendAnswer sends the answer to the offer that was applied, unless a connection still gathers
// candidates for it.
func (n *negotiator) sendAnswer(ctx context.Context) error {
	if n.state.State != negotiation.HaveRemoteOffer || slices.ContainsFunc(n.transports.conns, func(conn *connection) bool { return conn.answerHeld }) {
		return nil
	}
	text, err := n.transports.mergeDescriptions(func(conn *connection) (*sdp.SessionDescription, error) { return conn.answerToWire() })
	if err != nil {
		return &Error{Negotiation, err}
	}
	n.answer.SDP = text
	if err := n.signaling.send(ctx, func(ctx context.Context) error { return n.cfg.Signaler.Answer(ctx, n.answer) }); err != nil {
		return err
	}
	return n.next(ctx, negotiation.AnswerSent{Complete: !n.established()}, nil)
}

// sendHeldAnswer sends the answer that was held for the candidates of a connection.
func (n *negotiator) sendHeldAnswer(ctx context.Context, conn *connection) error {
	if !conn.answerHeld {
		return nil
	}
	conn.answerHeld = false
	return n.sendAnswer(ctx)
}

// reject rejects an offer. An established call stays as it was, others end. A parley is sent the
// reason; every other peer is sent an answer that changes nothing, if there is one.
func (n *negotiator) reject(ctx context.Context, offer SessionDescription, why error) error {
	if n.established() {
		n.cfg.OnEvent(Warned{fmt.Sprintf("ignored a new description: %v", why)})
	}
	if answer, err := n.rejectionOf(offer, why); err != nil {
		n.cfg.Logger.Debug("offer rejected without an answer", "error", err)
	} else {
		n.answered, n.answer = offer.SDP, answer
		if err := n.signaling.send(ctx, func(ctx context.Context) error { return n.cfg.Signaler.Answer(ctx, answer) }); err != nil {
			return err
		}
	}
	if n.established() {
		return nil
	}
	var failed *Error
	if errors.As(why, &failed) {
		return why
	}
	return &Error{Negotiation, why}
}

// remoteAnswer handles an answer of the peer.
func (n *negotiator) remoteAnswer(ctx context.Context, m SessionDescription) error {
	n.signaling.peerPresent = true
	m = m.valid()
	if m.Extension == nil && n.withParley() {
		n.cfg.Logger.Debug("answer ignored: it does not name its offer")
		return nil
	}
	var number uint64
	if x := m.Extension; x != nil {
		number = x.Number
		if x.Rejected != "" {
			return n.offerRejected(ctx, x)
		}
	}
	r := &remoteDescription{message: m}
	d, err := jsep.Parse(m.SDP)
	if err == nil {
		r.Description = d
	} else {
		n.failure = err
	}
	if n.state.State == negotiation.HaveLocalOffer && (number == 0 || number == n.state.OfferID) {
		n.learn(m.Extension)
	}
	return n.next(ctx, negotiation.RemoteAnswer{Number: number}, r)
}

// offerRejected handles the rejection of an offer by the peer.
func (n *negotiator) offerRejected(ctx context.Context, x *Extension) error {
	why := fmt.Errorf("%w: %s", ErrRejected, jsep.Printable(x.Rejected))
	if n.state.State == negotiation.HaveLocalOffer && x.Number == n.state.OfferID {
		if !n.established() {
			return &Error{Negotiation, fmt.Errorf("no call came about: %w", why)}
		}
		n.cfg.OnEvent(Warned{fmt.Sprintf("a change was not negotiated: %v", why)})
		n.failure = why
	}
	return n.next(ctx, negotiation.OfferRejected{Number: x.Number}, nil)
}

// applyAnswer applies the peer's answer to the offer that is out.
func (n *negotiator) applyAnswer(ctx context.Context, r *remoteDescription) error {
	err := n.failure
	if r.Description != nil {
		if err = jsep.CheckAnswer(n.offer, r.Description); err == nil && !n.established() && n.applier.splitsTransports(r.Description) {
			return n.split(ctx, r.Description)
		}
		if err == nil {
			err = n.applier.acceptAnswer(r.Description)
		}
	}
	if err == nil {
		return n.next(ctx, negotiation.AnswerApplied{}, nil)
	}
	var failed *Error
	switch {
	case errors.As(err, &failed) && failed.Stage != Negotiation:
		return err
	case !n.established():
		return &Error{Negotiation, err}
	case n.applier.isClosed():
		return nil
	}
	if stuck := n.applier.restoreStable(); stuck != nil {
		return &Error{Negotiation, fmt.Errorf("%w; and the call cannot be negotiated any more: %w", err, stuck)}
	}
	n.cfg.OnEvent(Warned{fmt.Sprintf("ignored a new description: %v", err)})
	n.failure, n.rejection = err, jsep.Printable(err.Error())
	return n.next(ctx, negotiation.AnswerFailed{}, nil)
}

// split handles an answer to our first offer that splits it into several transports, see
// splitTransports.
func (n *negotiator) split(ctx context.Context, d *jsep.Description) error {
	if err := n.applier.splitTransports(d); err != nil {
		return &Error{Negotiation, err}
	}
	n.state, _ = n.state.Next(negotiation.OfferReplaced{})
	text, err := n.describeOffer(false)
	if err == nil {
		n.offer, err = jsep.Unmarshal(text)
	}
	if err != nil {
		return &Error{Negotiation, err}
	}
	n.sent = text
	return n.sendOffer(ctx)
}

// rejectionOf returns the answer that rejects an offer. The error says why there is none.
func (n *negotiator) rejectionOf(offer SessionDescription, why error) (SessionDescription, error) {
	if answer, ok := Reject(offer, why); ok {
		return answer, nil
	}
	current, err := n.applier.currentLocal()
	if err != nil {
		return SessionDescription{}, err
	}
	theirs, err := jsep.Unmarshal(offer.SDP)
	if err != nil {
		return SessionDescription{}, err
	}
	if before := n.applier.current; before != nil && jsep.RestartsICE(before.SDP(), theirs, !n.transports.layout.Unbundled) {
		return SessionDescription{}, errors.New("it restarts ICE, and the current path is not the one that it describes")
	}
	answer, err := jsep.NoChangeAnswer(current, theirs)
	if err != nil {
		return SessionDescription{}, err
	}
	text, err := jsep.Marshal(answer)
	return SessionDescription{SDP: text}, err
}

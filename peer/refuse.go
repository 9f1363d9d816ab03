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
)

// A refusal is the answer to an offer that is not taken in a call that is up, see
// jsep.NoChangeAnswer. To another parley it says why.
//
// The refusal of a wish has no sections, as the wish has none. Nor has that of a page, and
// of an offer of a parley to which there is no such answer: one that restarts ICE, as the
// old path is not the one it would speak of, and one that a call begins with. Who is
// refused so makes the answer itself (unchanged).
//
// An offer may tell as well why the answer before it could not be taken.

// ErrRefused is why a change did not come about that the other side has refused.
var ErrRefused = errors.New("the other side refused it")

// refuse tells the other side that its offer was not taken.
func (c *Call) refuse(ctx context.Context, offer string, why error) error {
	text, err := c.refusal(offer, why.Error())
	if err != nil {
		c.cfg.Logger.Debug("offer refused in silence", "error", err)
		return nil
	}
	return c.sent(c.cfg.Signaler.Answer(ctx, text))
}

// refusal is the answer that changes nothing.
func (c *Call) refusal(offer, why string) (string, error) {
	theirs, err := jsep.Unmarshal(offer)
	if err != nil {
		return "", err
	}
	dialect := jsep.DialectOf(theirs)
	ours, err := c.described((*webrtc.PeerConnection).CurrentLocalDescription, func(conn *connection, text string) (*sdp.SessionDescription, error) {
		o := conn.meant()
		o.SessionName, o.Setup = jsep.AnswerName, conn.setup
		return jsep.ToWire(text, o)
	})
	switch {
	case err != nil:
		return "", err
	case ours == nil || c.current == nil:
		return bareRefusal(dialect.Parley, why, "nothing is in force")
	case len(theirs.MediaDescriptions) == 0:
		return bareRefusal(dialect.OfferRequest != nil, why, "it has no sections")
	case jsep.RestartsICE(c.current.SDP(), theirs, !c.layout.Unbundled):
		return bareRefusal(dialect.Parley, why, "it restarts ICE")
	}
	answer, err := jsep.NoChangeAnswer(ours, theirs)
	if err != nil {
		return "", err
	}
	jsep.WithRejection(answer, why)
	return jsep.Marshal(answer)
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
	return jsep.BareRejection(why), nil
}

// unchanged is the answer to our offer that is out by which nothing changes: that
// of the other side, had it made one; restarts tells that the offer restarts ICE.
func (c *Call) unchanged() (text string, restarts bool, err error) {
	plain := func(conn *connection, text string) (*sdp.SessionDescription, error) {
		return jsep.ToWire(text, jsep.WireOptions{DataMid: conn.wireMid, Hidden: conn.meant().Hidden, Synthetic: &conn.synthetic})
	}
	out, err := c.described((*webrtc.PeerConnection).PendingLocalDescription, plain)
	local, err2 := c.described((*webrtc.PeerConnection).CurrentLocalDescription, plain)
	theirs, err3 := c.described((*webrtc.PeerConnection).CurrentRemoteDescription, func(conn *connection, _ string) (*sdp.SessionDescription, error) {
		d := conn.remote.SDP()
		jsep.SetSetup(d, jsep.OppositeSetup(conn.setup))
		d.SessionName = jsep.AnswerName
		return d, nil
	})
	switch {
	case errors.Join(err, err2, err3) != nil:
		return "", false, errors.Join(err, err2, err3)
	case out == nil || local == nil || theirs == nil:
		return "", false, errors.New("nothing is in force")
	}
	answer, err := jsep.NoChangeAnswer(theirs, out)
	if err != nil {
		return "", false, err
	}
	text, err = jsep.Marshal(answer)
	return text, jsep.RestartsICE(local, out, !c.layout.Unbundled), err
}

// described is one of Pion's descriptions of all connections as edit makes it, nil for none.
func (c *Call) described(which func(*webrtc.PeerConnection) *webrtc.SessionDescription,
	edit func(*connection, string) (*sdp.SessionDescription, error)) (*sdp.SessionDescription, error) {
	var locals []jsep.Local[*connection]
	for _, conn := range c.conns {
		text := textOf(which(conn.pc))
		if text == "" {
			continue
		}
		d, err := edit(conn, text)
		if err != nil {
			return nil, err
		}
		locals = append(locals, jsep.Local[*connection]{Transport: conn, SDP: d})
	}
	return c.merged(locals)
}

// refused takes the refusal of our latest offer, which was applied as any answer
// is, or of our wish for one: the changes that were in it are taken back.
func (c *Call) refused(d *jsep.Description) {
	err := fmt.Errorf("%w: %s", ErrRefused, d.Rejection)
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
func (c *Call) bareRefused(ctx context.Context, d *jsep.Description) error {
	switch {
	case c.state.phase == offering && !c.conns[0].remoteSet:
		return &Error{Negotiation, fmt.Errorf("no call came about: %w: %s", ErrRefused, d.Rejection)}
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
func (c *Call) offerRefused(ctx context.Context, d *jsep.Description) error {
	text, restarts, err := c.unchanged()
	if err != nil {
		return err
	}
	answer, err := jsep.Parse(text)
	if err != nil {
		return err
	}
	answer.Rejection = d.Rejection
	if again := restarts && time.Since(c.restarted) >= wishInterval; again {
		c.restart, c.restarted = true, time.Now()
	}
	if err := c.negotiate(ctx, parleyAnswer, answer); err != nil || !c.restart {
		return err
	}
	return c.negotiate(ctx, wantOffer, nil)
}

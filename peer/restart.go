package peer

import (
	"context"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// wishInterval is the least time between restarts that the other side asked for.
const wishInterval = 2 * time.Second

// failed tries to bring a call back that was up: by an ICE restart from this
// side or, if that is theirs to make, from the other.
func (c *Call) failed(ctx context.Context) error {
	if !c.down {
		c.lose()
	}
	return c.restartICE(ctx)
}

// lose ends the call after a while, unless the connection comes back.
func (c *Call) lose() {
	c.down = true
	c.outage++
	late := backTooLate{c.outage}
	time.AfterFunc(c.cfg.RestartTimeout, func() { c.box.post(late) })
}

func (c *Call) restartICE(ctx context.Context) error {
	if !c.up {
		return nil
	}
	c.restart = true
	if c.state.yields() {
		c.state.wished = true
		return c.makeWish(ctx) // again, if need be: the one before may be lost
	}
	return c.negotiate(ctx, wantOffer, nil)
}

// repeat sends again what the other side may not have got: an offer that is out,
// with the candidates found since. In a call that is down it asks for a restart.
func (c *Call) repeat(ctx context.Context) error {
	c.asking = time.Now()
	switch {
	case !c.up:
		return nil
	case c.state.phase == offering:
		text, err := c.together(func(conn *connection) (*sdp.SessionDescription, error) {
			return conn.asSent(textOf(conn.pc.LocalDescription()))
		})
		if err != nil {
			return &Error{Negotiation, err}
		}
		return c.sent(c.cfg.Signaler.Offer(ctx, text))
	case c.down:
		return c.restartICE(ctx)
	case c.state.wished:
		return c.makeWish(ctx)
	}
	return nil
}

// mostAgain is how often an offer or a wish is said again.
const mostAgain = 3

// sayAgain repeats an offer or a wish to which nothing has come: the original
// servers drop messages without a word, and one that is lost would keep the call
// from ever being negotiated anew. Who got it all the same answers again, or
// offers the same again, which does no harm.
func (c *Call) sayAgain(ctx context.Context) {
	waits := c.state.phase == offering || c.state.wished
	if !waits || !c.up || time.Since(c.asking) < c.cfg.patience || c.again > mostAgain {
		return
	}
	if c.again++; c.again <= mostAgain {
		_ = c.repeat(ctx) // what it fails of, in a call that is up, has been told
		return
	}
	c.underWay, c.asked = append(c.underWay, c.asked...), nil
	c.settle(errUnanswered)
}

// seekPath asks the other side for a restart when the call has been disconnected
// for a while, which may be an outage that passes, or a path that is gone: a NAT
// has another port for one of the two, or a relay has let it go. A restart gives
// the old path up, and were its offer lost the call would be worse off than
// before. So nobody restarts unasked: that the wish comes shows that offers pass,
// too. Peers that know no wishes are offered a restart when the connection fails.
func (c *Call) seekPath(ctx context.Context) {
	silent := time.Since(c.silent) - c.cfg.DisconnectedTimeout
	switch {
	case !c.up || c.down || c.silent.IsZero():
	case c.was == webrtc.PeerConnectionStateConnecting && silent >= c.cfg.FailedTimeout:
		// When it would have failed without a restart. That one goes on for now.
		c.cfg.OnEvent(StateChanged{webrtc.PeerConnectionStateFailed, time.Since(c.offered), time.Since(c.silent)})
		c.lose()
	case c.was != webrtc.PeerConnectionStateDisconnected || !c.state.parley || c.gone:
	case silent < c.cfg.RestartAfter || c.state.phase == offering || time.Since(c.asking) < c.cfg.patience:
	default:
		c.asking = time.Now()
		wish, err := jsep.RequestOffer(textOf(c.conns[0].pc.LocalDescription()), jsep.PathRequest)
		if err == nil {
			err = c.cfg.Signaler.Offer(ctx, wish)
		}
		if err != nil {
			c.cfg.Logger.Debug("another path not asked for", "error", err)
		}
	}
}

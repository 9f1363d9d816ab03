package peer

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
)

// consentTimeout is how long media is sent to a peer that does not answer connectivity checks
// (RFC 7675 section 5.1).
const consentTimeout = 30 * time.Second

// politeDelay is how much later than the impolite peer the polite one restarts ICE, so that in most
// cases only one of them does.
const politeDelay = 3 * time.Second

// An outage is what a call does about a path that is gone. It belongs to the goroutine of Run.
//
// An ICE restart is an offer that changes nothing before it is answered (see negotiator), so it does
// no harm to a path that comes back, and none while signaling is unavailable. A path
// on which consent has expired is given up.
type outage struct {
	down  bool      // the call was connected, its path was lost, and it is not connected again
	count int       // how often that happened
	since time.Time // since when nothing has come, zero while connected
	asked time.Time // when the latest restart was requested because of it
}

// connected notes that the path works.
func (o *outage) connected() { o.down, o.since = false, time.Time{} }

// disconnected notes that nothing has come for a while.
func (o *outage) disconnected(silence time.Duration) { o.since = time.Now().Add(-silence) }

// failed gives a path up, and restarts ICE.
func (c *Call) failed(ctx context.Context) error {
	if !c.outage.down {
		c.outage.down = true
		c.outage.count++
		late := reconnectTimedOut{c.outage.count}
		time.AfterFunc(c.cfg.Timeouts.Restart, func() { c.box.post(late) })
	}
	for _, conn := range c.conns {
		if conn.lost = conn.state != webrtc.PeerConnectionStateConnected; conn.lost {
			if err := conn.beginRestart(&c.cfg); err != nil {
				return &Error{Connection, err}
			}
		}
	}
	return c.restartICE(ctx)
}

// restartICE begins a new ICE session with the next offer.
func (c *Call) restartICE(ctx context.Context) error {
	if !c.established {
		return nil
	}
	c.outage.asked = time.Now()
	if c.negotiator.restarts && c.negotiator.state.State == jsep.HaveLocalOffer {
		return nil // it is under way
	}
	c.negotiator.restart = true
	return c.tolerate(c.negotiator.needed(ctx))
}

// checkPath restarts ICE when the path has been silent for a while, which may be an outage that
// passes, or a path that is gone: a NAT has another port for one of the two, or a relay has expired.
func (c *Call) checkPath(ctx context.Context) error {
	o := &c.outage
	if !c.established || o.since.IsZero() {
		return nil
	}
	silence := time.Since(o.since)
	if silence >= consentTimeout && !o.down {
		if c.reportedState != webrtc.PeerConnectionStateFailed {
			c.cfg.OnEvent(StateChanged{webrtc.PeerConnectionStateFailed, time.Since(c.started), silence})
		}
		return c.failed(ctx)
	}
	if o.down || c.reportedState != webrtc.PeerConnectionStateDisconnected || !c.negotiator.withParley() || c.unreachable {
		return nil // a foreign peer is offered a restart when the path has failed
	}
	after := c.cfg.Timeouts.Disconnected + c.cfg.Timeouts.RestartAfter
	if c.negotiator.polite() && c.negotiator.peer == terminalPeer {
		after += politeDelay
	}
	if silence < after || time.Since(o.asked) < c.cfg.Timeouts.Answer {
		return nil
	}
	return c.restartICE(ctx)
}

// signalingRestored sends again what the peer may not have got.
func (c *Call) signalingRestored(ctx context.Context) error {
	if !c.established {
		return nil
	}
	if c.outage.down && c.negotiator.state.State == jsep.Stable {
		return c.restartICE(ctx)
	}
	return c.negotiator.next(ctx, jsep.SignalingRestored{}, nil)
}

// addressesChanged restarts ICE if the path does not work, or begins at an address that the host does
// not have any more. A path that works is kept.
func (c *Call) addressesChanged(ctx context.Context, now []string) error {
	before := c.hosts
	c.hosts = now
	c.cfg.OnEvent(AddressesChanged{now})
	lost := slices.ContainsFunc(before, func(a string) bool { return !slices.Contains(now, a) })
	for _, conn := range c.conns {
		if conn.state != webrtc.PeerConnectionStateConnected || lost && !conn.beginsAt(now) {
			return c.restartICE(ctx)
		}
	}
	return nil
}

// beginsAt reports whether the path in use begins at one of these addresses of the host, in CIDR
// notation.
func (c *connection) beginsAt(hosts []string) bool {
	pair, err := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil || pair.Local.Typ != webrtc.ICECandidateTypeHost {
		return false // of a relay or a NAT the base is not known for sure
	}
	return slices.ContainsFunc(hosts, func(host string) bool {
		ip, _, _ := strings.Cut(host, "/")
		return ip == pair.Local.Address
	})
}

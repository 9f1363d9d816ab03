package peer

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/icenet"
	"parley/peer/internal/negotiation"
)

// A reconnector restarts ICE when the path of a call is lost or may be. A reconnector is used by
// the goroutine of Run.
type reconnector struct {
	cfg        *callConfig
	box        *mailbox
	transports *transports
	negotiator *negotiator

	outage      outage
	unreachable bool     // see DeliverUnreachable
	hosts       []string // addresses of the host
	addresses   icenet.AddressMonitor
}

// An outage is the state of a path that is lost or may be.
//
// An ICE restart is an offer that changes nothing before it is answered (see negotiator), so it
// does no harm to a path that works again, and none while signaling is unavailable. A path on which
// consent has expired is closed.
type outage struct {
	down  bool      // the call was connected, its path was lost, and it is not connected again
	count int       // how often that happened
	since time.Time // since when nothing has come, zero while connected
	asked time.Time // when the latest restart was requested because of it
}

// connected records that the path works.
func (o *outage) connected() { o.down, o.since = false, time.Time{} }

// disconnected records that nothing has been received for a while.
func (o *outage) disconnected(silence time.Duration) { o.since = time.Now().Add(-silence) }

// consentTimeout is how long media is sent to a peer that does not answer connectivity checks
// (RFC 7675 section 5.1).
const consentTimeout = 30 * time.Second

// politeDelay is how much later than the impolite peer the polite one restarts ICE, so that in most
// cases only one of them does.
const politeDelay = 3 * time.Second

// consent is how long the peer has not answered our connectivity checks (RFC 7675 section 5.1).
// Pion heeds only what is received, and a path may be lost in the other direction alone.
type consent struct {
	answers uint64        // so far
	checked time.Time     // when update was called last
	missing time.Duration // how long no answer has come
}

// update takes the number of answers, and reports whether consent has expired. Of a long time
// between two calls only a part counts: the process was stopped, and has checked nothing.
func (c *consent) update(answers uint64, now time.Time) bool {
	passed := min(now.Sub(c.checked), 2*tickInterval)
	if c.checked.IsZero() || answers != c.answers {
		passed, c.missing = 0, 0
	}
	c.answers, c.checked = answers, now
	c.missing += passed
	return c.missing >= consentTimeout
}

// consentExpired reports whether the connection sends by a path on which consent has expired.
func (c *connection) consentExpired() bool {
	if c.state == webrtc.PeerConnectionStateConnected { // before, reading the pair races with the start of ICE
		if pair, ok := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats(); ok {
			return c.consent.update(pair.ResponsesReceived, time.Now())
		}
	}
	c.consent = consent{}
	return false
}

// failed closes a path and restarts ICE.
func (r *reconnector) failed(ctx context.Context) error {
	if !r.outage.down {
		r.outage.down = true
		r.outage.count++
		late := reconnectTimedOut{r.outage.count}
		time.AfterFunc(r.cfg.Timeouts.Restart, func() { r.box.post(late) })
	}
	for _, conn := range r.transports.conns {
		conn.lost = conn.state != webrtc.PeerConnectionStateConnected || conn.consent.missing >= consentTimeout
		if conn.lost {
			if err := conn.beginRestart(); err != nil {
				return &Error{Connection, err}
			}
		}
	}
	return r.restartICE(ctx)
}

// restartICE sends an offer that restarts ICE, unless the peer accepts none and restarts ICE
// itself.
func (r *reconnector) restartICE(ctx context.Context) error {
	if !r.transports.established || r.negotiator.noOffers {
		return nil
	}
	r.outage.asked = time.Now()
	if r.negotiator.restarts && r.negotiator.state.State == negotiation.HaveLocalOffer {
		return nil // it is under way
	}
	r.negotiator.restart = true
	return r.negotiator.tolerate(r.negotiator.needed(ctx))
}

// checkPath restarts ICE when the path has been silent for a while. It may work again, or be lost:
// a NAT has given one of the peers another port, or a relay has expired.
func (r *reconnector) checkPath(ctx context.Context) error {
	o := &r.outage
	expired := false
	for _, conn := range r.transports.conns {
		expired = conn.consentExpired() || expired
	}
	if !r.transports.established || o.down {
		return nil
	}
	if expired {
		r.cfg.OnEvent(StateChanged{webrtc.PeerConnectionStateFailed, time.Since(r.transports.started), 0})
		return r.failed(ctx)
	}
	if o.since.IsZero() {
		return nil
	}
	silence := time.Since(o.since)
	if silence >= consentTimeout {
		if r.transports.reported != webrtc.PeerConnectionStateFailed {
			r.cfg.OnEvent(StateChanged{webrtc.PeerConnectionStateFailed, time.Since(r.transports.started), silence})
		}
		return r.failed(ctx)
	}
	early := r.negotiator.withParley() || r.cfg.NoRenegotiation // others are offered a restart when the path has failed
	if r.transports.reported != webrtc.PeerConnectionStateDisconnected || !early || r.unreachable {
		return nil
	}
	after := r.cfg.Timeouts.Disconnected + r.cfg.Timeouts.RestartAfter
	if r.negotiator.polite() && r.negotiator.peer == terminalPeer {
		after += politeDelay
	}
	if silence < after || time.Since(o.asked) < r.cfg.Timeouts.Answer {
		return nil
	}
	return r.restartICE(ctx)
}

// signalingRestored sends messages again that may have been lost.
func (r *reconnector) signalingRestored(ctx context.Context) error {
	if !r.transports.established {
		return nil
	}
	if r.outage.down && r.negotiator.state.State == negotiation.Stable {
		return r.restartICE(ctx)
	}
	return r.negotiator.next(ctx, negotiation.SignalingRestored{}, nil)
}

// hostAddresses returns the addresses of the host and reports whether they have changed since the
// previous invocation. Those of a simulated network do not change.
func (r *reconnector) hostAddresses() (list []string, changed bool) {
	if r.cfg.Net != nil {
		return nil, false
	}
	return r.addresses.Changed(icenet.InterfaceFilter(r.cfg.ICE.Interfaces))
}

// addressesChanged restarts ICE if the path does not work, or begins at an address that the host
// does not have any more. A path that works is kept.
func (r *reconnector) addressesChanged(ctx context.Context, now []string) error {
	before := r.hosts
	r.hosts = now
	r.cfg.OnEvent(AddressesChanged{now})
	lost := slices.ContainsFunc(before, func(a string) bool { return !slices.Contains(now, a) })
	for _, conn := range r.transports.conns {
		if conn.state != webrtc.PeerConnectionStateConnected || lost && !conn.beginsAt(now) {
			return r.restartICE(ctx)
		}
	}
	return nil
}

// beginsAt reports whether the path in use begins at one of these addresses of the host, in CIDR
// notation.
func (c *connection) beginsAt(hosts []string) bool {
	pair, err := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil || pair.Local.Typ != webrtc.ICECandidateTypeHost {
		return false // the base of other candidates is not certain
	}
	return slices.ContainsFunc(hosts, func(host string) bool {
		ip, _, _ := strings.Cut(host, "/")
		return ip == pair.Local.Address
	})
}

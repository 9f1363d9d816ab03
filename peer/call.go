package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/demux"
	"parley/peer/internal/jsep"
	"parley/peer/stats"
)

// End is how a call ended without an error.
type End int

// The two ways to end a call.
const (
	PeerLeft End = iota + 1 // the peer hung up
	Left                    // Hangup, or the context of Run
)

// A Call is one call with one peer. Make it with New and run it with Run. All other methods may be
// called from any goroutine and do not wait, unless they say so.
//
// A Call handles the messages of its mailbox, one after the other, on the goroutine of Run. The
// fields after box are used by that goroutine alone, except where their types say otherwise.
type Call struct {
	cfg *callConfig
	box *mailbox

	transports   *transports
	negotiator   *negotiator
	applier      *applier
	candidates   *candidates
	changes      *changes
	tracks       *localTracks
	channels     *channelOpener
	text         *textSender
	verification *verification
	reconnector  *reconnector
	signaling    *signaling
	stats        *statsCollector
	pairs        *pairReporter
}

// Posted by the methods of Call.
type (
	deliveredOffer       struct{ SessionDescription }
	deliveredAnswer      struct{ SessionDescription }
	deliveredCandidate   struct{ webrtc.ICECandidateInit }
	deliveredLeave       struct{}
	deliveredUnreachable struct{}
	deliveredRejection   struct{ reason string }
	textQueued           struct{ line string }
	hangupRequested      struct{}
	peerChannelGraceOver struct{}
	restartRequested     struct{} // RestartICE
	signalingIsBack      struct{}
	offerUndelivered     struct{} // ResendOffer
	reconnectTimedOut    struct{ outage int }
)

// New returns a call, which does nothing before Run. The error says what is invalid in cfg.
func New(cfg Config) (*Call, error) {
	shared, err := newCallConfig(cfg)
	if err != nil {
		return nil, err
	}
	c := &Call{cfg: shared, box: newMailbox(), stats: &statsCollector{}}
	c.transports = &transports{cfg: c.cfg, box: c.box, stats: c.stats}
	c.signaling = &signaling{cfg: c.cfg, transports: c.transports}
	c.text = &textSender{cfg: c.cfg, box: c.box}
	c.pairs = &pairReporter{cfg: c.cfg, stats: c.stats}
	c.tracks = &localTracks{cfg: c.cfg, transports: c.transports}
	c.verification = &verification{cfg: c.cfg, transports: c.transports, text: c.text}
	c.negotiator = &negotiator{cfg: c.cfg, box: c.box, transports: c.transports, signaling: c.signaling}
	c.candidates = &candidates{cfg: c.cfg, transports: c.transports, negotiator: c.negotiator, signaling: c.signaling}
	c.changes = &changes{transports: c.transports, negotiator: c.negotiator, tracks: c.tracks}
	c.channels = &channelOpener{
		cfg: c.cfg, box: c.box, transports: c.transports, negotiator: c.negotiator, text: c.text, stats: c.stats,
	}
	c.applier = &applier{
		cfg: c.cfg, box: c.box, transports: c.transports, candidates: c.candidates, tracks: c.tracks, channels: c.channels,
		text: c.text, verification: c.verification,
	}
	c.negotiator.applier, c.negotiator.candidates, c.negotiator.changes = c.applier, c.candidates, c.changes
	c.reconnector = &reconnector{cfg: c.cfg, box: c.box, transports: c.transports, negotiator: c.negotiator}
	return c, nil
}

// DeliverOffer handles an offer of the peer.
func (c *Call) DeliverOffer(d SessionDescription) { c.box.post(deliveredOffer{d}) }

// DeliverAnswer handles an answer of the peer.
func (c *Call) DeliverAnswer(d SessionDescription) { c.box.post(deliveredAnswer{d}) }

// DeliverRejection handles that the peer has not accepted our latest offer. A call that is
// connected stays as it was, others end.
func (c *Call) DeliverRejection(reason string) { c.box.post(deliveredRejection{reason}) }

// DeliverCandidate handles a candidate of the peer, which may come before the description. One with
// an empty line is end-of-candidates.
func (c *Call) DeliverCandidate(init webrtc.ICECandidateInit) { c.box.post(deliveredCandidate{init}) }

// DeliverUnreachable reports that signaling does not reach the peer any more. A call that is
// connected goes on until its path is silent, too.
func (c *Call) DeliverUnreachable() { c.box.post(deliveredUnreachable{}) }

// DeliverLeave reports that the peer hung up.
func (c *Call) DeliverLeave() { c.box.post(deliveredLeave{}) }

// Say sends a line of text when a data channel is open, see textChannels. The event TextSent
// reports that it was sent, TextRejected that it will not be. Once the call is over it does
// nothing.
func (c *Call) Say(line string) { c.box.post(textQueued{line}) }

// Hangup flushes the text that was sent and ends the call.
func (c *Call) Hangup() { c.box.post(hangupRequested{}) }

// RestartICE restarts ICE (RFC 8445 section 9), which finds a new path while the call goes on.
// Before the call is connected it does nothing.
func (c *Call) RestartICE() { c.box.post(restartRequested{}) }

// SignalingRestored reports that signaling works again and may have lost messages: an offer without
// an answer is sent again.
func (c *Call) SignalingRestored() { c.box.post(signalingIsBack{}) }

// ResendOffer sends the first offer again, with the candidates found since, because the peer was
// not there to receive it. After the answer it does nothing.
func (c *Call) ResendOffer() { c.box.post(offerUndelivered{}) }

// Continues reports whether an offer belongs to this call, and not to a new call of the same user,
// say of a page that was reloaded. Continues is true before the first description of the peer.
func (c *Call) Continues(d *jsep.Description) bool {
	identity := c.applier.identity.Load()
	return identity == nil || d.Identity.Continues(*identity)
}

// Run runs the call until it is over, and closes all that belongs to it. Cancelling ctx hangs up.
// The error is an *Error, or one of this host, such as a missing network.
func (c *Call) Run(ctx context.Context) (End, error) {
	var rest []any // messages that were taken and not handled yet
	defer func() { c.disconnect(rest) }()
	if _, err := c.transports.add(); err != nil {
		return 0, err
	}
	if c.cfg.Caller {
		if err := c.negotiator.needed(ctx); err != nil && ctx.Err() == nil {
			return 0, err
		}
	}
	c.reconnector.hosts, _ = c.reconnector.hostAddresses()
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.leave()
		case <-ticker.C:
			if err := c.tick(ctx); err != nil && ctx.Err() == nil {
				c.signaling.leave()
				return 0, err
			}
		case <-c.box.ready:
		}
		for rest = c.box.take(); len(rest) > 0; {
			message := rest[0]
			rest = rest[1:]
			end, err := c.handle(ctx, message)
			switch {
			case ctx.Err() != nil:
				return c.leave()
			case end == Left:
				return c.leave()
			case err != nil:
				c.signaling.leave()
				return 0, err
			case end != 0:
				c.drainMessages(ctx, rest)
				rest = nil
				return end, nil
			}
		}
	}
}

// tickInterval is how often a call checks its timeouts and the addresses of the host.
const tickInterval = 2 * time.Second

// tick checks the addresses of the host, the timeouts and the path of the call.
func (c *Call) tick(ctx context.Context) error {
	var err error
	if now, changed := c.reconnector.hostAddresses(); changed {
		err = c.reconnector.addressesChanged(ctx, now)
	}
	if err == nil {
		err = c.negotiator.tolerate(c.negotiator.checkTimeout(ctx))
	}
	if err == nil {
		err = c.reconnector.checkPath(ctx)
	}
	c.candidates.warnMissing()
	for _, conn := range c.transports.conns {
		if conn.remoteSet && conn.state != webrtc.PeerConnectionStateConnected {
			c.stats.recordPairs(conn)
		}
	}
	return err
}

// Why returns the reason why the call is not connected, or not any more. It may be called from
// OnEvent and after Run.
func (c *Call) Why() error {
	for _, conn := range c.transports.conns {
		if conn.state != webrtc.PeerConnectionStateConnected {
			return conn.why()
		}
	}
	return errors.New("no connection was made")
}

// Answered reports whether offer and answer were exchanged. It may be called from OnEvent and after
// Run.
func (c *Call) Answered() bool {
	return len(c.transports.conns) > 0 && c.transports.conns[0].progress.answered
}

// PeerIsParley reports whether the peer is a parley, terminal or page, which receives what is sent
// on a channel that we opened. It may be called from OnEvent.
func (c *Call) PeerIsParley() bool { return c.negotiator.withParley() }

// disconnect closes the mailbox, on which callbacks may wait, and then the connections. Lines of
// text in rest, which was taken from it, and in the mailbox are rejected with those that wait.
func (c *Call) disconnect(rest []any) {
	c.changes.close()
	for _, message := range append(rest, c.box.close()...) {
		c.keepText(message)
	}
	for _, line := range c.text.waiting {
		c.cfg.OnEvent(TextRejected{line, ErrOver})
	}
	c.stats.close()
	for _, conn := range c.transports.conns {
		conn.close()
	}
}

// keepText adds the line of Say in a message, if it is one, to those that wait for a channel.
func (c *Call) keepText(message any) {
	if m, ok := message.(textQueued); ok && !c.text.add(m.line) {
		c.cfg.OnEvent(TextRejected{m.line, errTooManyWait})
	}
}

// leave flushes the text that was sent and sends a leave.
func (c *Call) leave() (End, error) {
	c.flush()
	c.signaling.leave()
	return Left, nil
}

// flush waits until the sent text is acknowledged: no longer than Timeouts.Flush without progress,
// and no longer than maxFlushes times that.
func (c *Call) flush() {
	ch := c.text.channel()
	if ch == nil || c.transports.state() != webrtc.PeerConnectionStateConnected {
		return
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := c.cfg.Timeouts.Flush
	end := time.Now().Add(maxFlushes * timeout)
	left, until := ch.Pending(), time.Now().Add(timeout)
	for left > 0 && time.Now().Before(until) {
		select {
		case <-ch.Done(): // the peer hung up, too
			return
		case <-tick.C:
		}
		if now := ch.Pending(); now < left {
			left, until = now, earlier(time.Now().Add(timeout), end)
		}
	}
}

// maxFlushes bounds flush, in multiples of Timeouts.Flush.
const maxFlushes = 5

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// handle handles a message of the mailbox. It returns how the call ended, 0 if it goes on.
func (c *Call) handle(ctx context.Context, message any) (End, error) {
	switch m := message.(type) {
	case deliveredOffer:
		c.reconnector.unreachable = false
		return 0, c.negotiator.remoteOffer(ctx, m.SessionDescription)
	case deliveredAnswer:
		return 0, c.negotiator.remoteAnswer(ctx, m.SessionDescription)
	case deliveredRejection:
		return 0, c.negotiator.offerRejected(ctx, &Extension{Number: c.negotiator.state.OfferID, Rejected: m.reason})
	case deliveredCandidate:
		if err := c.candidates.receive(m.ICECandidateInit); err != nil {
			c.cfg.Logger.Debug("candidate dropped", "reason", err)
		}
	case deliveredUnreachable:
		c.reconnector.unreachable = true
		return c.checkPeerGone()
	case deliveredLeave:
		return PeerLeft, nil
	case hangupRequested:
		return Left, nil
	case textQueued:
		c.keepText(m)
		c.text.send()
	case confirmed:
		c.verification.confirm()
	case declined:
		return 0, c.verification.errDeclined()
	case pairsRequest:
		var reports []webrtc.StatsReport
		for _, conn := range c.transports.conns {
			reports = append(reports, conn.pionReport())
		}
		m.pairs <- stats.Pairs(reports...)
	case restartRequested:
		return 0, c.reconnector.restartICE(ctx)
	case signalingIsBack:
		return 0, c.negotiator.tolerate(c.reconnector.signalingRestored(ctx))
	case offerUndelivered:
		return 0, c.negotiator.undelivered(ctx)
	case *change:
		return 0, c.changes.apply(ctx, m)
	case reconnectTimedOut:
		if m.outage == c.reconnector.outage.count && c.reconnector.outage.down {
			return 0, &Error{Connection, c.Why()}
		}
	case peerChannelGraceOver:
		c.text.certain = c.text.own != nil
		c.text.send()
	case *channelRequest:
		return 0, c.channels.open(ctx, m)
	case posted:
		if slices.Contains(c.transports.conns, m.from) { // else of one that was closed
			return c.handleEvent(ctx, m.from, m.event)
		}
		if e, ok := m.event.(channelClosed); ok && c.stats.reported(e.Channel) {
			return c.handleEvent(ctx, m.from, e)
		}
	}
	return 0, nil
}

// checkPeerGone ends the call if neither signaling nor media reaches the peer.
func (c *Call) checkPeerGone() (End, error) {
	if c.reconnector.unreachable && c.transports.state() != webrtc.PeerConnectionStateConnected {
		return PeerLeft, nil
	}
	return 0, nil
}

// handleEvent handles what a callback of a connection posted.
func (c *Call) handleEvent(ctx context.Context, conn *connection, event any) (End, error) {
	switch e := event.(type) {
	case localCandidate:
		return 0, c.candidates.send(ctx, conn, e.ICECandidate)
	case gathered:
		return 0, c.negotiator.sendHeldAnswer(ctx, conn)
	case holdExpired:
		conn.holdExpired = true
		if total(conn.progress.local) > 0 {
			return 0, c.negotiator.sendHeldAnswer(ctx, conn)
		}
	case stateChange:
		return c.stateChanged(ctx, conn)
	case iceState:
		if e.ICEConnectionState == webrtc.ICEConnectionStateConnected {
			conn.progress.reached = true
			conn.stats.up.Store(true)
		}
		c.cfg.OnEvent(ICEStateChanged{e.ICEConnectionState})
		conn.lookForPair(pairWanted{})
	case pairWanted:
		conn.lookForPair(e)
	case pairSelected:
		c.pairs.selected(conn, e.ICECandidatePair)
	case channelOpened:
		c.channels.opened(conn, e.Channel)
	case channelClosed:
		c.text.closed(e.Channel)
		c.cfg.OnEvent(ChannelClosed{e.Channel})
	case messageArrived:
		c.text.received(e.channel)
		c.cfg.OnEvent(MessageReceived{e.channel, e.text, e.data})
		c.text.send()
	case demux.UnknownStream:
		c.cfg.OnEvent(Warned{e.String()})
	case remoteTrack:
		c.cfg.OnEvent(conn.trackReceived(e))
	case trackBound:
		if e.err != nil {
			c.cfg.OnEvent(TrackRejected{e.track, e.err.Error()})
		} else {
			c.cfg.OnEvent(TrackSending{e.track, e.codec})
		}
	}
	return 0, nil
}

// hasPath reports whether ICE has connected, for its callback may come later than that of DTLS.
func hasPath(dtls *webrtc.DTLSTransport) bool {
	if dtls.State() == webrtc.DTLSTransportStateFailed || dtls.ICETransport().State() == webrtc.ICETransportStateConnected {
		return true
	}
	pair, err := dtls.ICETransport().GetSelectedCandidatePair()
	return err == nil && pair != nil
}

// stateChanged handles a new state of a connection. It reads the state, because the order of Pion's
// callbacks is not certain.
func (c *Call) stateChanged(ctx context.Context, conn *connection) (End, error) {
	conn.state = conn.pc.ConnectionState()
	if conn.state == webrtc.PeerConnectionStateConnected {
		conn.progress.wasConnected = true
		c.pairs.reportSelected(conn)
	}
	if conn.state == webrtc.PeerConnectionStateFailed && c.transports.established && !conn.progress.wasConnected {
		c.cfg.OnEvent(Warned{fmt.Sprintf("the added connection failed: %v", conn.why())})
	}
	if hasPath(conn.pc.SCTP().Transport()) {
		conn.progress.reached = true
	}
	now := c.transports.state()
	if now == c.transports.reported {
		return 0, nil
	}
	c.transports.reported = now
	silence := conn.timeSinceLastPacket(now)
	c.cfg.OnEvent(StateChanged{now, time.Since(c.transports.started), silence})
	switch {
	case now == webrtc.PeerConnectionStateConnected:
		c.transports.established, c.channels.requested = true, nil
		c.reconnector.outage.connected()
		for _, conn := range c.transports.conns {
			conn.lost = false
		}
		return 0, c.changes.applyPostponed(ctx)
	case now == webrtc.PeerConnectionStateDisconnected:
		c.reconnector.outage.disconnected(silence)
		return c.checkPeerGone()
	case now == webrtc.PeerConnectionStateClosed && c.transports.established: // by the peer's DTLS close_notify
		return PeerLeft, nil
	case now == webrtc.PeerConnectionStateFailed && c.transports.established:
		return 0, c.reconnector.failed(ctx)
	case now == webrtc.PeerConnectionStateClosed, now == webrtc.PeerConnectionStateFailed:
		return 0, &Error{Connection, c.Why()}
	}
	return 0, nil
}

// drainMessages reports what the peer sent before it left.
func (c *Call) drainMessages(ctx context.Context, messages []any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, conn := range c.transports.conns {
			conn.data.Close()
			conn.data.Wait()
		}
	}()
	for over := false; ; {
		for _, message := range messages {
			c.keepText(message)
			if m, ok := message.(posted); ok {
				if e, ok := m.event.(messageArrived); ok {
					_, _ = c.handleEvent(ctx, m.from, e) // never an error
				}
			}
		}
		if over {
			return
		}
		select {
		case <-done:
			over = true
		case <-c.box.ready:
		}
		messages = c.box.take()
	}
}

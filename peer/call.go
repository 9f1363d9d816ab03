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
	PeerLeft End = iota + 1 // the other side hung up
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
	textQueued           struct{ line string }
	hangupRequested      struct{}
	peerChannelGraceOver struct{}
	restartRequested     struct{} // RestartICE
	signalingIsBack      struct{}
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

// DeliverOffer hands over an offer that the other side sent.
func (c *Call) DeliverOffer(d SessionDescription) { c.box.post(deliveredOffer{d}) }

// DeliverAnswer hands over an answer that the other side sent.
func (c *Call) DeliverAnswer(d SessionDescription) { c.box.post(deliveredAnswer{d}) }

// DeliverCandidate hands over a candidate that the other side sent. It may come
// before the description. An empty line ends the candidates.
func (c *Call) DeliverCandidate(init webrtc.ICECandidateInit) { c.box.post(deliveredCandidate{init}) }

// DeliverUnreachable tells that the other side is not to be reached by signaling any
// more. A call that is up goes on until nothing comes from it either.
func (c *Call) DeliverUnreachable() { c.box.post(deliveredUnreachable{}) }

// DeliverLeave tells that the other side hung up.
func (c *Call) DeliverLeave() { c.box.post(deliveredLeave{}) }

// Say sends a line of text as soon as a data channel is open, see textChannels. The
// event TextSent tells when it went, or TextRejected that it will not.
func (c *Call) Say(line string) { c.box.post(textQueued{line}) }

// Hangup ends the call: what was said is flushed, then the other side is told.
func (c *Call) Hangup() { c.box.post(hangupRequested{}) }

// RestartICE looks for a path anew while the call goes on, say because this
// machine's addresses changed. Who loses ties asks the other side for it.
func (c *Call) RestartICE() { c.box.post(restartRequested{}) }

// SignalingRestored tells that messages to the other side may have been lost, and
// that new ones arrive: what has no answer yet is sent again.
func (c *Call) SignalingRestored() { c.box.post(signalingIsBack{}) }

// Continues tells if an offer belongs to the connection of this call: a
// renegotiation, and not a new call of the same user, say of a page that was
// loaded anew. It is true while there is no description to compare with.
func (c *Call) Continues(d *jsep.Description) bool {
	identity := c.applier.identity.Load()
	return identity == nil || d.Identity.Continues(*identity)
}

// Run makes the call and returns when it is over, with everything that belongs
// to it. Cancelling ctx hangs up. The error is an *Error, or one of this
// machine (no network, say).
func (c *Call) Run(ctx context.Context) (End, error) {
	defer c.disconnect()
	if _, err := c.transports.add(); err != nil {
		return 0, err
	}
	if c.cfg.Caller {
		if err := c.negotiator.needed(ctx); err != nil && ctx.Err() == nil {
			return 0, err
		}
	}
	c.reconnector.hosts, _ = c.reconnector.hostAddresses()
	look := time.NewTicker(addressInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.leave()
		case <-look.C:
			if err := c.tick(ctx); err != nil && ctx.Err() == nil {
				c.signaling.leave()
				return 0, err
			}
		case <-c.box.ready:
		}
		messages := c.box.take()
		for i, message := range messages {
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
				c.drainMessages(ctx, messages[i+1:])
				return end, nil
			}
		}
	}
}

// tick does what is due from time to time.
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

// Why says in one sentence why there is no connection, or no longer. It may be
// called from OnEvent and after Run.
func (c *Call) Why() error {
	for _, conn := range c.transports.conns {
		if conn.state != webrtc.PeerConnectionStateConnected {
			return conn.progress.why(conn.logs.lastWarning())
		}
	}
	return errors.New("no connection was made")
}

// Answered tells if offer and answer were exchanged. It may be called from
// OnEvent and after Run.
func (c *Call) Answered() bool {
	return len(c.transports.conns) > 0 && c.transports.conns[0].progress.answered
}

// PeerIsParley tells if the other side is a parley, terminal or page: it hears
// what is sent on a channel that we opened. It may be called from OnEvent.
func (c *Call) PeerIsParley() bool { return c.negotiator.withParley() }

// disconnect closes the connections, callbacks released first.
func (c *Call) disconnect() {
	c.changes.close()
	for _, line := range c.text.waiting {
		c.cfg.OnEvent(TextRejected{line, errOver})
	}
	c.box.close()
	c.stats.mu.Lock()
	c.stats.final, c.stats.live = measured(c.stats.live), nil
	c.stats.mu.Unlock()
	for _, conn := range c.transports.conns {
		conn.close()
	}
}

// leave hangs up: text that is under way is flushed, the other side is told.
func (c *Call) leave() (End, error) {
	c.flush()
	c.signaling.leave()
	return Left, nil
}

// flush waits until what was sent has been acknowledged, while something of it
// still is, and not too long.
func (c *Call) flush() {
	ch := c.text.channel()
	if ch == nil || c.transports.state() != webrtc.PeerConnectionStateConnected {
		return
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	patience := c.cfg.Timeouts.Flush
	end := time.Now().Add(flushPatiences * patience)
	left, until := ch.Pending(), time.Now().Add(patience)
	for left > 0 && time.Now().Before(until) {
		select {
		case <-ch.Done(): // they hung up as well
			return
		case <-tick.C:
		}
		if now := ch.Pending(); now < left {
			left, until = now, earlier(time.Now().Add(patience), end)
		}
	}
}

// flushPatiences bounds flush, in Timeouts.Flush.
const flushPatiences = 5

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// handle takes one message of the mailbox.
func (c *Call) handle(ctx context.Context, message any) (End, error) {
	switch m := message.(type) {
	case deliveredOffer:
		c.reconnector.unreachable = false
		return 0, c.negotiator.remoteOffer(ctx, m.SessionDescription)
	case deliveredAnswer:
		return 0, c.negotiator.remoteAnswer(ctx, m.SessionDescription)
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
		if !c.text.add(m.line) {
			c.cfg.OnEvent(TextRejected{m.line, errTooManyWait})
		}
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
		if slices.Contains(c.transports.conns, m.from) { // else of one that is gone
			return c.handleEvent(ctx, m.from, m.event)
		}
		if e, ok := m.event.(channelClosed); ok && c.stats.reported(e.Channel) {
			return c.handleEvent(ctx, m.from, e)
		}
	}
	return 0, nil
}

// checkPeerGone ends the call if the other side is to be reached by no way.
func (c *Call) checkPeerGone() (End, error) {
	if c.reconnector.unreachable && c.transports.state() != webrtc.PeerConnectionStateConnected {
		return PeerLeft, nil
	}
	return 0, nil
}

// handleEvent takes what the connection's callbacks posted.
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

// hasPath tells if ICE has come through, for what it tells by its callback may
// come later than what DTLS tells.
func hasPath(dtls *webrtc.DTLSTransport) bool {
	if dtls.State() == webrtc.DTLSTransportStateFailed || dtls.ICETransport().State() == webrtc.ICETransportStateConnected {
		return true
	}
	pair, err := dtls.ICETransport().GetSelectedCandidatePair()
	return err == nil && pair != nil
}

// stateChanged reads the state, for Pion's callbacks may come out of order.
func (c *Call) stateChanged(ctx context.Context, conn *connection) (End, error) {
	conn.state = conn.pc.ConnectionState()
	if conn.state == webrtc.PeerConnectionStateConnected {
		conn.progress.wasConnected = true
		c.pairs.reportSelected(conn)
	}
	if conn.state == webrtc.PeerConnectionStateFailed && c.transports.established && !conn.progress.wasConnected {
		c.cfg.OnEvent(Warned{fmt.Sprintf("what was added is not connected: %v", conn.progress.why(conn.logs.lastWarning()))})
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
	case now == webrtc.PeerConnectionStateClosed && c.transports.established: // by the other side's DTLS close_notify
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

package peer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/interceptors/demux"
	"parley/peer/stats"
)

// handle takes one message of the mailbox.
func (c *Call) handle(ctx context.Context, message any) (End, error) {
	switch m := message.(type) {
	case deliveredOffer:
		c.gone = false
		return 0, c.negotiator.remoteOffer(ctx, m.SessionDescription)
	case deliveredAnswer:
		return 0, c.negotiator.remoteAnswer(ctx, m.SessionDescription)
	case deliveredCandidate:
		if err := c.remoteCandidate(m.ICECandidateInit); err != nil {
			c.cfg.Logger.Debug("candidate dropped", "reason", err)
		}
	case deliveredLost:
		c.gone = true
		return c.maybeGone()
	case deliveredLeave:
		return TheyLeft, nil
	case hungUp:
		return WeLeft, nil
	case said:
		if !c.text.add(m.line) {
			c.cfg.OnEvent(TextRefused{m.line, errTooManyWait})
		}
		c.sayDue()
	case confirmed:
		c.release()
	case declined:
		return 0, c.errDeclined()
	case pairsWanted:
		var reports []webrtc.StatsReport
		for _, conn := range c.conns {
			reports = append(reports, conn.pionsReport())
		}
		m.pairs <- stats.Pairs(reports...)
	case restartRequested:
		return 0, c.restartICE(ctx)
	case signalingBack:
		return 0, c.tolerate(c.signalingRestored(ctx))
	case *change:
		return 0, c.makeChange(ctx, m)
	case reconnectTimedOut:
		if m.outage == c.outage.count && c.outage.down {
			return 0, &Error{Connection, c.Why()}
		}
	case graceOver:
		c.text.certain = c.text.own != nil
		c.sayDue()
	case *channelWanted:
		return 0, c.want(ctx, m)
	case posted:
		if slices.Contains(c.conns, m.from) { // else of one that is gone
			return c.happened(ctx, m.from, m.event)
		}
		if e, ok := m.event.(channelClosed); ok && c.reported(e.Channel) {
			return c.happened(ctx, m.from, e)
		}
	}
	return 0, nil
}

// maybeGone ends the call if the other side is to be reached by no way.
func (c *Call) maybeGone() (End, error) {
	if c.gone && c.overall() != webrtc.PeerConnectionStateConnected {
		return TheyLeft, nil
	}
	return 0, nil
}

// happened takes what the connection's callbacks posted.
func (c *Call) happened(ctx context.Context, conn *connection, event any) (End, error) {
	switch e := event.(type) {
	case localCandidate:
		return 0, c.sendCandidate(ctx, conn, e.ICECandidate)
	case gathered:
		return 0, c.negotiator.sendHeldAnswer(ctx, conn)
	case holdExpired:
		conn.holdExpired = true
		if total(conn.progress.local) > 0 {
			return 0, c.negotiator.sendHeldAnswer(ctx, conn)
		}
	case stateNudge:
		return c.stateChanged(ctx, conn)
	case iceState:
		if e.ICEConnectionState == webrtc.ICEConnectionStateConnected {
			conn.progress.reached = true
			conn.up.Store(true)
		}
		c.cfg.OnEvent(ICEStateChanged{e.ICEConnectionState})
	case pairSelected:
		c.pairSelected(conn, e.ICECandidatePair)
	case channelOpened:
		c.opened(conn, e.Channel)
	case channelClosed:
		c.text.closed(e.Channel)
		c.cfg.OnEvent(ChannelClosed{e.Channel})
	case messageArrived:
		c.text.received(e.channel)
		c.cfg.OnEvent(MessageReceived{e.channel, e.text, e.data})
		c.sayDue()
	case demux.UnknownStream:
		c.cfg.OnEvent(Warned{e.String()})
	case trackArrived:
		c.cfg.OnEvent(conn.received(e))
	case trackBound:
		if e.err != nil {
			c.cfg.OnEvent(TrackRefused{e.track, e.err.Error()})
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
		c.pairNow(conn)
	}
	if conn.state == webrtc.PeerConnectionStateFailed && c.up && !conn.progress.wasConnected {
		c.cfg.OnEvent(Warned{fmt.Sprintf("what was added is not connected: %v", conn.progress.why(conn.logs.lastWarning()))})
	}
	if hasPath(conn.pc.SCTP().Transport()) {
		conn.progress.reached = true
	}
	now := c.overall()
	if now == c.was {
		return 0, nil
	}
	c.was = now
	silence := conn.silence(now)
	c.cfg.OnEvent(StateChanged{now, time.Since(c.offered), silence})
	switch {
	case now == webrtc.PeerConnectionStateConnected:
		c.up, c.wanted = true, nil
		c.outage.connected()
		for _, conn := range c.conns {
			conn.lost = false
		}
		return 0, c.makePostponed(ctx)
	case now == webrtc.PeerConnectionStateDisconnected:
		c.outage.disconnected(silence)
		return c.maybeGone()
	case now == webrtc.PeerConnectionStateClosed && c.up: // by the other side's DTLS close_notify
		return TheyLeft, nil
	case now == webrtc.PeerConnectionStateFailed && c.up:
		return 0, c.failed(ctx)
	case now == webrtc.PeerConnectionStateClosed, now == webrtc.PeerConnectionStateFailed:
		return 0, &Error{Connection, c.Why()}
	}
	return 0, nil
}

// reported tells if the opening of a channel was.
func (c *Call) reported(ch *datachannel.Channel) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.channels, ch)
}

func (c *Call) opened(conn *connection, ch *datachannel.Channel) {
	c.mu.Lock()
	if c.channels = append(c.channels, ch); len(c.channels) > maxMeasured {
		gone := slices.IndexFunc(c.channels, (*datachannel.Channel).Closed)
		c.channels = slices.Delete(c.channels, max(gone, 0), max(gone, 0)+1)
	}
	c.mu.Unlock()
	c.cfg.OnEvent(ChannelOpened{ch})
	conn.data.StartReading(ch)
	if ch.Detached() {
		return
	}
	if c.text.opened(ch, textChannel{ch.Label(), ch.OpenedByPeer(), ch.Negotiated()}) {
		time.AfterFunc(peerChannelGrace, func() { c.box.post(graceOver{}) })
	}
	c.sayDue()
}

// sayDue sends the lines that a channel is ready for.
func (c *Call) sayDue() {
	if c.cfg.held.Load() {
		return
	}
	ch, lines := c.text.due()
	for _, line := range lines {
		if err := ch.Send([]byte(line), true); err != nil {
			c.cfg.OnEvent(TextRefused{line, err})
			continue
		}
		c.cfg.OnEvent(TextSent{ch, line})
	}
}

// silence is how long nothing has come, by the latest packet and the latest
// answer to a check for consent (RFC 7675).
func (c *connection) silence(now webrtc.PeerConnectionState) time.Duration {
	if now != webrtc.PeerConnectionStateDisconnected && now != webrtc.PeerConnectionStateFailed {
		return 0
	}
	pair, ok := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok {
		return 0
	}
	last := pair.LastPacketReceivedTimestamp.Time()
	if answer := pair.LastResponseTimestamp.Time(); answer.After(last) {
		last = answer
	}
	return max(0, time.Since(last))
}

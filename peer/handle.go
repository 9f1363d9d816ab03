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
		c.unreachable = false
		return 0, c.negotiator.remoteOffer(ctx, m.SessionDescription)
	case deliveredAnswer:
		return 0, c.negotiator.remoteAnswer(ctx, m.SessionDescription)
	case deliveredCandidate:
		if err := c.remoteCandidate(m.ICECandidateInit); err != nil {
			c.cfg.Logger.Debug("candidate dropped", "reason", err)
		}
	case deliveredUnreachable:
		c.unreachable = true
		return c.checkPeerGone()
	case deliveredLeave:
		return PeerLeft, nil
	case hangupRequested:
		return Left, nil
	case textQueued:
		if !c.text.add(m.line) {
			c.cfg.OnEvent(TextRejected{m.line, errTooManyWait})
		}
		c.sendText()
	case confirmed:
		c.confirmVerification()
	case declined:
		return 0, c.errDeclined()
	case pairsRequest:
		var reports []webrtc.StatsReport
		for _, conn := range c.conns {
			reports = append(reports, conn.pionReport())
		}
		m.pairs <- stats.Pairs(reports...)
	case restartRequested:
		return 0, c.restartICE(ctx)
	case signalingIsBack:
		return 0, c.tolerate(c.signalingRestored(ctx))
	case *change:
		return 0, c.makeChange(ctx, m)
	case reconnectTimedOut:
		if m.outage == c.outage.count && c.outage.down {
			return 0, &Error{Connection, c.Why()}
		}
	case peerChannelGraceOver:
		c.text.certain = c.text.own != nil
		c.sendText()
	case *channelRequest:
		return 0, c.openRequested(ctx, m)
	case posted:
		if slices.Contains(c.conns, m.from) { // else of one that is gone
			return c.handleEvent(ctx, m.from, m.event)
		}
		if e, ok := m.event.(channelClosed); ok && c.reported(e.Channel) {
			return c.handleEvent(ctx, m.from, e)
		}
	}
	return 0, nil
}

// checkPeerGone ends the call if the other side is to be reached by no way.
func (c *Call) checkPeerGone() (End, error) {
	if c.unreachable && c.connectionState() != webrtc.PeerConnectionStateConnected {
		return PeerLeft, nil
	}
	return 0, nil
}

// handleEvent takes what the connection's callbacks posted.
func (c *Call) handleEvent(ctx context.Context, conn *connection, event any) (End, error) {
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
	case stateChange:
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
		c.channelIsOpen(conn, e.Channel)
	case channelClosed:
		c.text.closed(e.Channel)
		c.cfg.OnEvent(ChannelClosed{e.Channel})
	case messageArrived:
		c.text.received(e.channel)
		c.cfg.OnEvent(MessageReceived{e.channel, e.text, e.data})
		c.sendText()
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
		c.reportSelectedPair(conn)
	}
	if conn.state == webrtc.PeerConnectionStateFailed && c.established && !conn.progress.wasConnected {
		c.cfg.OnEvent(Warned{fmt.Sprintf("what was added is not connected: %v", conn.progress.why(conn.logs.lastWarning()))})
	}
	if hasPath(conn.pc.SCTP().Transport()) {
		conn.progress.reached = true
	}
	now := c.connectionState()
	if now == c.reportedState {
		return 0, nil
	}
	c.reportedState = now
	silence := conn.timeSinceLastPacket(now)
	c.cfg.OnEvent(StateChanged{now, time.Since(c.started), silence})
	switch {
	case now == webrtc.PeerConnectionStateConnected:
		c.established, c.requested = true, nil
		c.outage.connected()
		for _, conn := range c.conns {
			conn.lost = false
		}
		return 0, c.makePostponed(ctx)
	case now == webrtc.PeerConnectionStateDisconnected:
		c.outage.disconnected(silence)
		return c.checkPeerGone()
	case now == webrtc.PeerConnectionStateClosed && c.established: // by the other side's DTLS close_notify
		return PeerLeft, nil
	case now == webrtc.PeerConnectionStateFailed && c.established:
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

func (c *Call) channelIsOpen(conn *connection, ch *datachannel.Channel) {
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
		time.AfterFunc(peerChannelGrace, func() { c.box.post(peerChannelGraceOver{}) })
	}
	c.sendText()
}

// sendText sends the lines that a channel is ready for.
func (c *Call) sendText() {
	if c.cfg.held.Load() {
		return
	}
	ch, lines := c.text.due()
	for _, line := range lines {
		if err := ch.Send([]byte(line), true); err != nil {
			c.cfg.OnEvent(TextRejected{line, err})
			continue
		}
		c.cfg.OnEvent(TextSent{ch, line})
	}
}

// timeSinceLastPacket is how long nothing has come, by the latest packet and the latest
// answer to a check for consent (RFC 7675).
func (c *connection) timeSinceLastPacket(now webrtc.PeerConnectionState) time.Duration {
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

package server

import (
	"errors"
	"slices"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
)

// deliveryResult is what became of a message to another user.
type deliveryResult int

const (
	delivered deliveryResult = iota
	// dropped: the message crossed the end of its call, which is no error.
	dropped
	absent
	noCall
	tooMany
	notLoggedIn // the sender lost its name
	queueFull
	unavailable // the cluster cannot be reached
)

// kindOf returns the kind of a message between sessions that carries a message of this type.
func kindOf(typ signal.Type) cluster.Kind {
	switch typ {
	case signal.Offer:
		return cluster.Offer
	case signal.Answer:
		return cluster.Answer
	case signal.ICECandidate:
		return cluster.Candidate
	case signal.Leave:
		return cluster.Leave
	}
	return cluster.Data
}

// typeOf returns the type of a message that a message between sessions carries.
func typeOf(kind cluster.Kind) signal.Type {
	switch kind {
	case cluster.Offer:
		return signal.Offer
	case cluster.Answer:
		return signal.Answer
	case cluster.Candidate:
		return signal.ICECandidate
	case cluster.Leave:
		return signal.Leave
	}
	return ""
}

// forward sends a message of the client to the user called name, and returns what is known of it
// now: that the user cannot open the call, or has gone in the meantime, is reported later.
//
// In the call dialect
//
//	offer                opens a call with the session that holds the name now
//	answer               needs an open call in which the peer has made an offer
//	candidate, leave     need an open call; a leave closes it
//
// In the relay dialect the first message opens a call. When that has ended because one of the two
// is gone, no answer and no candidate opens the next: they belong to the call before.
//
// seq is the number that the client has given the message, 0 for none.
func (s *session) forward(w *wsconn.Batch, typ signal.Type, name string, payload []byte, seq uint64) deliveryResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[name]
	number, ok := s.number(c, seq)
	if !ok {
		return dropped
	}
	if c != nil && c.leaving {
		if typ != signal.Offer {
			return dropped
		}
		s.closeCall(name, c)
		c = nil
	}
	if c == nil || typ == signal.Offer && s.mayHaveMoved(c) {
		var peer cluster.SessionID
		var err error
		if s.hub.dialect == signal.DialectRelay || typ == signal.Offer || typ == signal.Answer {
			before := c
			s.mu.Unlock()
			peer, err = s.hub.server.node.Lookup(s.hub.server.ctx, s.hub.clusterName(name))
			s.mu.Lock()
			c = s.calls[name] // the peer may have opened it
			if c != nil && c == before && err == nil && c.peer != peer && s.mayHaveMoved(c) {
				s.closeCall(name, c)
				c = nil
			}
		}
		if s.state != sessionOpen {
			return notLoggedIn
		}
		if c == nil {
			if result := s.withoutCall(typ, name, err); result != delivered {
				return result
			}
			c = s.openCall(name, peer, true)
		}
	}
	if typ == signal.Answer && s.hub.dialect == signal.DialectCall && !c.offerReceived {
		return noCall
	}
	m := cluster.Message{Kind: kindOf(typ), Reason: leaveReason(typ), Call: c.number, PeerCall: c.peerNumber, Number: number, Payload: payload}
	if number != 0 && !c.peerEnds {
		c.sent.Add(&m, w.Now)
	}
	switch {
	case c.away != nil:
		c.leaving = typ == signal.Leave
		return delivered
	case number != 0 && number <= c.peerReceived: // kept all the same: the session of the peer may be continued without it
		return dropped
	}
	if typ == signal.Leave && c.peer != s.id { // a call with oneself has one end, which closes when the message arrives
		s.closeCall(name, c)
	}
	s.post(w, c.peer, m)
	return delivered
}

// mayHaveMoved reports whether another session may have the name of the peer of a call: nothing has
// come from the session that had it, which is at another node. That may have failed. A peer that is
// away is searched already.
func (s *session) mayHaveMoved(c *call) bool {
	return c.away == nil && c.peerNumber == 0 && c.peer.Node != s.id.Node
}

func leaveReason(typ signal.Type) cluster.Reason {
	if typ == signal.Leave {
		return cluster.HungUp
	}
	return 0
}

// withoutCall returns what becomes of a message outside of a call: delivered if it may open one.
// err is the result of looking up the name, where that matters.
func (s *session) withoutCall(typ signal.Type, name string, err error) deliveryResult {
	relay := s.hub.dialect == signal.DialectRelay
	recent := s.endedRecently(name)
	switch {
	case err != nil:
		if relay || typ == signal.Offer {
			s.noteEnded(name)
		}
		if !errors.Is(err, cluster.ErrAbsent) {
			return unavailable
		}
		return absent
	case relay && recent && (typ == signal.Answer || typ == signal.ICECandidate):
		return noCall
	case !relay && typ != signal.Offer && recent:
		if typ == signal.Leave { // the client knows of the end now
			s.clearEnded(name)
		}
		return dropped
	case !relay && typ != signal.Offer:
		return noCall
	case len(s.calls) >= s.hub.server.limits.Calls:
		s.noteEnded(name)
		return tooMany
	}
	return delivered
}

// Receive implements cluster.Receiver.
func (s *session) Receive(m cluster.Message, b cluster.Batch) {
	w, ok := b.(*wsconn.Batch)
	if !ok {
		w = s.hub.server.newBatch()
		defer w.Release()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.Kind == cluster.Lost:
		s.loseName(w, m.Reason)
	case m.Kind == cluster.Probe:
		s.handleProbe(w, &m)
	case s.state == sessionClaiming && (m.Kind == cluster.Alive || m.Kind == cluster.Gone):
		select {
		case s.probeResult <- m.Kind == cluster.Alive:
		default:
		}
	case s.moved, s.state == sessionClaiming && m.Kind == cluster.Rejoin: // which comes again
	case s.state != sessionOpen:
		s.replyGone(w, &m)
	case m.Kind == cluster.Rejoin:
		s.handleRejoin(w, &m)
	case m.Kind == cluster.Rejoined:
		s.handleRejoined(w, &m)
	case m.Kind == cluster.Present:
		s.notifyPresent(w, m.FromName)
	case m.Kind == cluster.Dropped:
		s.reportQueueFull(w, m.FromName)
	case m.Kind == cluster.Leave, m.Kind == cluster.Reject, m.Kind == cluster.Gone:
		s.handleEnd(w, &m)
	default:
		s.deliver(w, &m)
	}
}

// replyGone reports to the sender of a message that its call does not exist here.
func (s *session) replyGone(w *wsconn.Batch, m *cluster.Message) {
	switch m.Kind {
	case cluster.Offer, cluster.Answer, cluster.Candidate, cluster.Data, cluster.Rejoin, cluster.Rejoined:
		reason := cluster.Reason(0)
		if s.moving {
			reason = cluster.Disconnected
		}
		s.post(w, m.From, cluster.Message{Kind: cluster.Gone, Reason: reason, PeerCall: m.Call})
	}
}

// deliver passes a message of another session to the client.
func (s *session) deliver(w *wsconn.Batch, m *cluster.Message) {
	typ, c := typeOf(m.Kind), s.callOf(m)
	backlog, size := s.backlog(), queuedSize(m)
	if c == nil {
		if !s.opens(m) {
			s.replyGone(w, m)
			return
		}
		if before := s.calls[m.FromName]; before != nil {
			// The name has another holder. The leave of the one before comes too late, or not at
			// all; or this offer does, and the one before has the name.
			s.closeCall(m.FromName, before)
			s.sendLeave(w, m.FromName, false)
			if before.peer != s.id && before.peer != (cluster.SessionID{}) {
				defer s.post(w, before.peer, cluster.Message{Kind: cluster.Leave, Reason: cluster.HungUp, Call: before.number, PeerCall: before.peerNumber})
			}
		}
		if len(s.calls) >= s.hub.server.limits.Calls {
			s.post(w, m.From, cluster.Message{Kind: cluster.Reject, Reason: cluster.TooManyCalls, PeerCall: m.Call})
			return
		}
		if !hasRoomForCall(backlog, size, s.endedRecently(m.FromName)) {
			s.hub.server.metrics.relayed(typ, queueFull)
			s.post(w, m.From, cluster.Message{Kind: cluster.Reject, Reason: cluster.QueueFull, PeerCall: m.Call})
			return
		}
		c = s.openCall(m.FromName, m.From, false)
		c.peerNumber = m.Call
		c.setPeerEnds(m.Ends)
	} else if m.Number != 0 && m.Number <= c.received {
		return // it has come before
	} else if !c.share.hasRoom(backlog, size) {
		c.received = m.Number
		s.hub.server.metrics.relayed(typ, queueFull)
		s.post(w, m.From, cluster.Message{Kind: cluster.Dropped, Call: c.number, PeerCall: m.Call})
		return
	}
	c.share.add(backlog, size)
	c.received = m.Number
	if typ == signal.Offer {
		c.offerReceived = true
	}
	s.hub.server.metrics.relayed(typ, delivered)
	if s.hub.dialect == signal.DialectRelay {
		s.send(w, m.Payload)
		return
	}
	w.Scratch = wire.AppendDelivery(w.Scratch[:0], typ, m.Payload, m.FromName)
	if m.Number != 0 && s.resumable != nil {
		w.Scratch = wire.AppendNumber(w.Scratch, m.Number)
	}
	s.send(w, w.Scratch)
}

// handleEnd closes a call that the peer has closed, did not open, or knows nothing of.
func (s *session) handleEnd(w *wsconn.Batch, m *cluster.Message) {
	name, c := m.FromName, s.callOf(m)
	if m.Kind == cluster.Gone {
		name, c = s.goneCall(m)
	}
	switch {
	case c == nil:
		return
	case c.away == nil && s.mayReturn(c, m):
		s.awaitPeer(name, c)
		return
	case c.away != nil && m.Kind == cluster.Gone && (m.Reason != cluster.NoCall || s.reopen(w, name, c, m.From)):
		return
	}
	wasAway := c.away != nil
	s.closeCall(name, c)
	if c.peer != s.id {
		s.noteEnded(name)
	}
	switch {
	case c.leaving:
	case m.Kind == cluster.Gone && wasAway:
		s.sendLeave(w, name, false)
	case m.Kind == cluster.Reject && m.Reason == cluster.QueueFull:
		s.reportQueueFull(w, name)
	case m.Kind == cluster.Reject:
		s.reportTooMany(w, name)
	case m.Kind == cluster.Gone && m.Reason == cluster.Disconnected && c.peerNumber == 0:
		s.hub.server.metrics.relayed(signal.Offer, unavailable)
		s.sendError(w, signal.CodeUnavailable, unavailableText(name), name)
	case m.Kind == cluster.Gone && c.peerNumber == 0, m.Kind == cluster.Gone && s.hub.dialect == signal.DialectRelay:
		s.hub.server.metrics.relayed(signal.Offer, absent)
		s.sendError(w, signal.CodeAbsent, name+" is not signed in", name)
	case m.Reason != cluster.Draining && m.Reason != cluster.Moving:
		s.sendLeave(w, name, m.Reason == cluster.Disconnected)
	}
}

// goneCall returns the call with a session that does not exist any more, or has closed its end.
func (s *session) goneCall(m *cluster.Message) (name string, c *call) {
	for name, c := range s.calls {
		if (c.peer == m.From || c.away != nil && c.askedPeer == m.From) && (m.PeerCall == 0 || m.PeerCall == c.number) {
			return name, c
		}
	}
	return "", nil
}

// sendLeave sends a leave to a client of the call dialect. lost means that the peer did not come
// back.
func (s *session) sendLeave(w *wsconn.Batch, name string, lost bool) {
	if s.hub.dialect == signal.DialectRelay {
		return
	}
	w.Scratch = wire.AppendDelivery(w.Scratch[:0], signal.Leave, nil, name)
	if lost {
		w.Scratch = append(w.Scratch[:len(w.Scratch)-1], `,"lost":true}`...)
	}
	s.send(w, w.Scratch)
}

// reportsErrors reports whether the client wants to know of errors.
func (s *session) reportsErrors() bool { return s.hub.dialect != signal.DialectRelay || s.wantErrors }

// sendError sends an error to the client, if it requested errors.
func (s *session) sendError(w *wsconn.Batch, code, text, name string) {
	if s.reportsErrors() {
		s.send(w, wire.AppendError(nil, code, text, name))
	}
}

// reportTooMany reports to the client that the peer is in too many calls. The third time in ten
// seconds closes the connection.
func (s *session) reportTooMany(w *wsconn.Batch, name string) {
	s.hub.server.metrics.relayed(signal.Offer, tooMany)
	c := s.connection()
	if c == nil {
		return
	}
	text := tooManyText(name)
	if !c.allowViolation(w) {
		c.closeForViolation(w, &closeError{signal.CloseRateLimited, signal.CodeTooManyCalls, text}, s.reportsErrors())
		return
	}
	s.hub.server.metrics.limited(signal.CodeTooManyCalls)
	s.sendError(w, signal.CodeTooManyCalls, text, name)
}

// reportQueueFull reports to the client that its message was not delivered.
func (s *session) reportQueueFull(w *wsconn.Batch, name string) {
	s.sendError(w, signal.CodeQueueFull, "too much waits for "+name+", who reads too slowly; the message was not delivered", name)
}

func unavailableText(name string) string {
	return "the server of " + name + " cannot be reached now; try again later"
}

func tooManyText(name string) string {
	return "you or " + name + " are in as many calls as this server allows"
}

func (s *session) endedRecently(name string) bool {
	return slices.Contains(s.recentlyEnded, name)
}

package server

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"math"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/wire"
	"parley/signal/internal/wsconn"
	"parley/signal/server/internal/retention"
)

// A client whose node has failed, drains, or is not where the network leads it now, continues its
// session at another node. The node before is not asked: it may not exist. The client says in which
// calls it is, and what it has sent and received in each, see wire.Continuation. The sessions of
// its peers keep the latest messages they have sent, see package retention. Session and peers
// exchange Rejoin and Rejoined, by which both know what the other has not received, and send that
// again. As each message has a Number, every one is delivered once and in order. If some are
// missing, because a peer or the client keeps them no longer, or one of the two does not come back
// within Options.Resume, the call ends with a leave at both.

const (
	// rejoinInterval is the time between two searches for the session of a peer.
	rejoinInterval = time.Second
	// maxContinuedCalls bounds the calls of a session that is continued.
	maxContinuedCalls = 1 << 10
)

// continues reports whether sessions can be continued at another node. Messages of the relay
// dialect do not name their sender, so their receiver cannot say what it has received from whom.
func (h *hub) continues() bool {
	return h.server.opts.Cluster != nil && h.server.opts.Resume > 0 && h.dialect == signal.DialectCall
}

// continueSession gives a client a session that continues one of another node.
func (c *conn) continueSession(w *wsconn.Batch, h *hub, id cluster.SessionID, secret []byte, req wire.Request) error {
	name, problem := req.Name()
	k, ok := req.Continuation(min(c.server.limits.Calls, maxContinuedCalls))
	if problem != "" || !ok || !h.continues() {
		return c.refuseContinuation(w, secret, req)
	}
	identity, err := c.authorize(w, name, req)
	if err != nil {
		return err
	}
	if identity.Name != name {
		return c.refuseContinuation(w, secret, req)
	}
	if c.server.sessions.Add(c.address) != "" {
		c.server.sessions.Remove(c.address)
		return c.refuseOverload(w, req)
	}
	grant := wire.LoginGrant{Name: name, Requested: name, ExpiresIn: untilExpiry(identity), ResumeFor: c.server.opts.Resume, Continued: true, Received: k.Oldest - 1}
	if req.WantsICEServers() {
		c.server.grantICE(&grant, identity)
	}
	sess := &session{
		hub: h, name: name, address: c.address, asked: name, iceServers: identity.ICEServers,
		wantErrors: true, probeResult: make(chan bool, 1), served: k.Served, sentBefore: k.Sent,
	}
	sess.id = c.server.node.Attach(sess)
	sess.resumable, grant.ResumeToken = newResumeState(c.server, sess.id, c)
	sess.resumable.sequence = wire.ContinueSequence(req.Ack, grant.Received)
	err = c.awaitClaim(w, cluster.Claim{
		Name: h.clusterName(name), Session: sess.id, Identity: identity.Subject, Resume: sess.resumable.secret,
		Presented: sha256.Sum256(secret), Continues: id,
	})
	if err != nil {
		sess.abandon()
		if errors.Is(err, cluster.ErrAbsent) {
			return c.refuseContinuation(w, secret, req)
		}
		return c.refuseClaim(w, req, name, err)
	}
	h.addResumable(sess)
	sess.start(func() {
		c.setExpiry(sess, req, grant.ExpiresIn)
		c.Send(w, wire.AppendLoginSuccess(nil, grant)) // the messages that follow it are numbered
		if sess.state == sessionOpen {
			sess.rejoinCalls(id, k)
		}
	})
	c.session, c.token, c.wantErrors = sess, "", true
	c.server.pending.remove(c)
	sess.announce(w)
	c.server.metrics.login("continued")
	c.server.log.Debug("session continued", slog.String("dialect", string(c.dialect)), c.server.user(name))
	return nil
}

// refuseContinuation refuses to continue a session. The client can sign in anew and has its name at
// once.
func (c *conn) refuseContinuation(w *wsconn.Batch, secret []byte, req wire.Request) error {
	c.presented = sha256.Sum256(secret)
	c.refuseLogin(w, req, signal.CodeExpired, "the session has ended; sign in anew")
	return nil
}

// rejoinCalls opens the calls of the session that this one continues. mu is held.
func (s *session) rejoinCalls(id cluster.SessionID, k wire.Continuation) {
	for _, numbers := range k.Calls {
		c := s.openCall(numbers.Peer, cluster.SessionID{}, numbers.Caller)
		c.offerReceived = true // if not, the peer ignores the answer
		c.continued, c.continues = true, id
		c.first, c.received = numbers.First, numbers.Received
		c.unserved = numbers.First > k.Served && numbers.Received == 0
		if c.first == 0 {
			c.first = math.MaxUint64
		}
		c.sent = retention.New(min(k.Oldest-1, numbers.Last))
		s.awaitPeer(numbers.Peer, c)
	}
}

// number returns the number of a message of the client, whose own number is seq, 0 for none. It
// returns false for one that the client has sent to the node before, unless it belongs to a call of
// then. mu is held.
func (s *session) number(c *call, seq uint64) (number uint64, ok bool) {
	if !s.hub.continues() {
		return 0, true
	}
	if seq == 0 {
		seq = s.lastNumber + 1
	}
	s.lastNumber = max(s.lastNumber, seq)
	if seq > s.sentBefore {
		return seq, true
	}
	return seq, c != nil && c.continued && seq >= c.first
}

// awaitPeer looks for the session of a peer that cannot be reached, and ends the call if it is not
// found within Options.Resume. Until then messages of the client wait. mu is held.
func (s *session) awaitPeer(name string, c *call) {
	if c.away != nil {
		return
	}
	away := make(chan struct{})
	c.away = away
	s.hub.server.wait.Go(func() { s.searchPeer(name, c, away) })
}

// found ends the wait for the session of the peer.
func (c *call) found() {
	if c.away != nil {
		close(c.away)
		c.away = nil
	}
}

// searchPeer asks the session that holds the name of the peer for the call, again and again.
func (s *session) searchPeer(name string, c *call, away <-chan struct{}) {
	server := s.hub.server
	ticker := time.NewTicker(rejoinInterval)
	defer ticker.Stop()
	deadline := time.NewTimer(server.opts.Resume)
	defer deadline.Stop()
	for {
		if peer, err := server.node.Lookup(server.ctx, s.hub.clusterName(name)); err == nil && peer != s.id {
			s.askPeer(peer, c)
		}
		select {
		case <-away:
			return
		case <-server.ctx.Done():
			return
		case <-deadline.C:
			s.giveUpPeer(name, c)
			return
		case <-ticker.C:
		}
	}
}

// askPeer asks a session whether it is in a call with this one.
func (s *session) askPeer(peer cluster.SessionID, c *call) {
	w := s.hub.server.newBatch()
	defer w.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.away == nil || s.state != sessionOpen {
		return
	}
	c.askedPeer = peer
	s.post(w, peer, cluster.Message{Kind: cluster.Rejoin, Call: c.number, Received: c.received, Continues: c.continues})
}

// giveUpPeer ends a call whose peer has not come back.
func (s *session) giveUpPeer(name string, c *call) {
	w := s.hub.server.newBatch()
	defer w.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.away != nil && s.state == sessionOpen {
		s.endLost(w, name, c)
	}
}

// endLost ends a call that cannot go on, at both ends. mu is held.
func (s *session) endLost(w *wsconn.Batch, name string, c *call) {
	s.closeCall(name, c)
	s.noteEnded(name)
	if !c.leaving {
		s.sendLeave(w, name, true)
	}
	if c.peer != (cluster.SessionID{}) {
		s.post(w, c.peer, cluster.Message{Kind: cluster.Leave, Reason: cluster.Disconnected, Call: c.number, PeerCall: c.peerNumber})
	}
}

// handleRejoin answers a session that says it is in a call with this one.
func (s *session) handleRejoin(w *wsconn.Batch, m *cluster.Message) {
	c := s.calls[m.FromName]
	if c == nil || c.peer != m.From && c.peer != m.Continues && c.away == nil {
		s.post(w, m.From, cluster.Message{Kind: cluster.Gone, Reason: cluster.NoCall, PeerCall: m.Call})
		return
	}
	c.peer, c.peerNumber = m.From, m.Call
	s.rejoin(w, m.FromName, c, m.Received, cluster.Message{Kind: cluster.Rejoined, Received: c.received})
}

// handleRejoined goes on with a call that the peer is in, too.
func (s *session) handleRejoined(w *wsconn.Batch, m *cluster.Message) {
	c := s.calls[m.FromName]
	switch {
	case c == nil || c.number != m.PeerCall:
		s.post(w, m.From, cluster.Message{Kind: cluster.Gone, PeerCall: m.Call})
	case c.away != nil:
		c.peer, c.peerNumber = m.From, m.Call
		s.rejoin(w, m.FromName, c, m.Received)
	}
}

// rejoin sends first, and what the peer has not received; received is the number of the last
// message that it has.
func (s *session) rejoin(w *wsconn.Batch, name string, c *call, received uint64, first ...cluster.Message) {
	c.continues, c.peerReceived = s.id, received
	missing, ok := c.sent.After(received)
	if !ok {
		s.resend(w, name, c, first)
		s.endLost(w, name, c)
		return
	}
	s.resend(w, name, c, append(first, missing...))
}

// resend sends messages to a peer that was found, and before all that the client sends from now on.
func (s *session) resend(w *wsconn.Batch, name string, c *call, messages []cluster.Message) {
	c.found()
	if c.leaving {
		s.closeCall(name, c)
	}
	queued := make([]cluster.Outgoing, len(messages))
	for i, m := range messages {
		m.Call, m.PeerCall = c.number, c.peerNumber
		queued[i] = cluster.Outgoing{To: c.peer, Message: m}
	}
	s.postAll(w, queued)
}

// reopen handles the answer of the session that has the name of a peer that it is not in the call.
// An offer that no node may have served opens the call then: reopen reports whether it has one.
func (s *session) reopen(w *wsconn.Batch, name string, c *call, peer cluster.SessionID) bool {
	if !c.unserved {
		return false
	}
	c.peer, c.peerNumber, c.continues = peer, 0, s.id
	all, _ := c.sent.After(0)
	s.resend(w, name, c, all)
	return true
}

// mayReturn reports whether the peer of a call may come back, at another node, after a message that
// says it cannot be reached.
func (s *session) mayReturn(c *call, m *cluster.Message) bool {
	return s.hub.continues() && (m.Kind == cluster.Leave && m.Reason == cluster.Moving ||
		m.Kind == cluster.Gone && m.Reason == cluster.Disconnected && c.peerNumber != 0)
}

// prune drops the messages of the client that no peer can miss any more. mu is held.
func (s *session) prune(now int64) {
	for _, c := range s.calls {
		c.sent.Prune(now)
	}
}

// detachLater leaves the router when no peer sends to this session any more, which another one
// continues. Until then what comes is ignored: the peers send it again to the other one.
func (s *session) detachLater() {
	server := s.hub.server
	server.wait.Go(func() {
		timer := time.NewTimer(server.opts.Resume)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-server.ctx.Done():
		}
		server.node.Detach(s.id)
	})
}

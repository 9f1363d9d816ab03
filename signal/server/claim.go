package server

import (
	"errors"
	"sync/atomic"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/wsconn"
)

// claimName claims the name of a session. In the call dialect a claim of a name that is held fails
// if the client of the holder is connected: it answers a ping, or resumes, within probeTimeout. In
// the relay dialect the claim takes the name from the holder. A connection that holds the name
// already does not get it again.
func (c *conn) claimName(w *wsconn.Batch, sess, before *session, identity string) error {
	if before != nil && before.heldName() == sess.name && sess.hub.dialect == signal.DialectCall {
		return &cluster.TakenError{Holder: before.id}
	}
	claim := cluster.Claim{
		Name: sess.hub.clusterName(sess.name), Session: sess.id, Identity: identity, Replace: sess.hub.dialect == signal.DialectRelay,
		Presented: c.presented,
	}
	if sess.resumable != nil {
		claim.Resume = sess.resumable.secret
	}
	err := c.awaitClaim(w, claim)
	var taken *cluster.TakenError
	if !errors.As(err, &taken) {
		return err
	}
	if connected, probeErr := c.awaitProbe(w, sess, taken.Holder); probeErr != nil {
		return probeErr
	} else if connected {
		return err
	}
	return c.awaitClaim(w, claim)
}

// awaitClaim waits for the result of a claim. Only the client that claims waits.
func (c *conn) awaitClaim(w *wsconn.Batch, claim cluster.Claim) error {
	result := make(chan error, 1)
	var abandoned atomic.Bool
	c.server.node.Claim(claim, w, func(err error) {
		result <- err
		if err == nil && abandoned.Load() {
			c.server.node.Release(claim.Name, claim.Session)
		}
	})
	select {
	case err := <-result:
		return err
	default:
	}
	c.startWaiting(w)
	defer c.waiting.Store(false)
	select {
	case err := <-result:
		return err
	case <-c.server.ctx.Done():
		abandoned.Store(true)
		c.server.node.Release(claim.Name, claim.Session)
		return c.server.ctx.Err()
	}
}

// errNoProbeAnswer is the error of a claim of a name whose holder is at a node that does not
// answer.
var errNoProbeAnswer = errors.New("the node of the session that holds the name does not answer")

// awaitProbe asks the session that holds a claimed name whether its client is connected, and
// returns the answer.
func (c *conn) awaitProbe(w *wsconn.Batch, sess *session, holder cluster.SessionID) (connected bool, err error) {
	c.startWaiting(w) // before the probe: the holder may be asking the same of this client
	defer c.waiting.Store(false)
	sess.mu.Lock()
	result := sess.probeResult
	sess.post(w, holder, cluster.Message{Kind: cluster.Probe})
	sess.mu.Unlock()
	w.Flush()
	timer := time.NewTimer(2 * probeTimeout)
	defer timer.Stop()
	select {
	case connected = <-result:
		return connected, nil
	case <-timer.C:
		return false, errNoProbeAnswer
	case <-c.server.ctx.Done():
		return false, c.server.ctx.Err()
	}
}

// startWaiting notes that the reader waits for something else than the client, whose pongs it does
// not read meanwhile. The client has just sent something, so it counts as connected.
func (c *conn) startWaiting(w *wsconn.Batch) {
	c.waiting.Store(true)
	if c.session != nil {
		c.session.connected(w)
	}
	w.Flush()
}

// handleProbe answers another session that wants to have the name. The client is connected if it
// answers a ping, or resumes, in time. Otherwise the session ends.
func (s *session) handleProbe(w *wsconn.Batch, m *cluster.Message) {
	if s.state == sessionEnded {
		s.post(w, m.From, cluster.Message{Kind: cluster.Gone})
		return
	}
	c := s.connection()
	if s.state == sessionClaiming || c != nil && c.waiting.Load() || s.probe != nil && len(s.probe.from) == maxProbes {
		s.post(w, m.From, cluster.Message{Kind: cluster.Alive})
		return
	}
	if s.probe != nil {
		s.probe.from = append(s.probe.from, m.From)
		return
	}
	s.probe = &probe{from: []cluster.SessionID{m.From}}
	s.hub.server.wait.Add(1)
	s.probe.timer = time.AfterFunc(probeTimeout, func() {
		defer s.hub.server.wait.Done()
		s.endDisconnected()
	})
	if c != nil {
		s.hub.server.wheel.pingNow(c)
		c.Ping(w)
	}
}

// connected answers the sessions that have asked whether the client is connected, as it is.
func (s *session) connected(w *wsconn.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune(w.Now)
	s.answerProbe(w, cluster.Alive)
}

// answerProbe sends the result of a probe, if there is one.
func (s *session) answerProbe(w *wsconn.Batch, kind cluster.Kind) {
	p := s.probe
	if p == nil {
		return
	}
	s.probe = nil
	if p.timer.Stop() {
		s.hub.server.wait.Done()
	}
	for _, from := range p.from {
		s.post(w, from, cluster.Message{Kind: kind})
	}
}

// endDisconnected ends a session whose client has not answered a probe in time.
func (s *session) endDisconnected() {
	w := s.hub.server.newBatch()
	defer w.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe == nil { // it has answered just now
		return
	}
	if c := s.connection(); c != nil {
		if c.Heard() { // the pong may wait behind what the client is still reading
			s.answerProbe(w, cluster.Alive)
			return
		}
		c.Abort()
	}
	if s.resumable != nil {
		s.resumable.abandon()
	}
	s.endLocked(w, cluster.Disconnected)
}

// loseName ends a session that another one has taken the name from: in the relay dialect any that
// claims it, in the call dialect one of the same verified user, or of the same client at another
// node. The peers of a client that has only changed its node may go on without it.
func (s *session) loseName(w *wsconn.Batch, why cluster.Reason) {
	if s.state == sessionClaiming {
		s.state = sessionEnded // start does the rest
		return
	}
	reason := cluster.HungUp
	switch {
	case why == cluster.Resumed:
		reason = cluster.Disconnected
	case why == cluster.Continued && s.state == sessionOpen:
		reason, s.moved = cluster.Continued, true
		s.detachLater()
	}
	s.endLocked(w, reason)
	if s.resumable != nil {
		s.resumable.abandon()
	}
	if c := s.connection(); c != nil && s.hub.dialect == signal.DialectCall {
		c.close(w, signal.CloseReplaced, "this user has signed in on another connection")
	}
}

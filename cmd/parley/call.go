package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/signal"
)

// call logs in and calls name.
func call(ctx context.Context, s *settings, name string) error {
	release, err := s.openShared()
	if err != nil {
		return err
	}
	defer release()
	leave, err := s.openShow()
	if err != nil {
		return err
	}
	defer leave()
	c, err := openSession(ctx, s, name, true, false, nil)
	if err != nil {
		return exit.OrInterruption(ctx, err)
	}
	begin := time.Now()
	l, err := s.signIn(ctx)
	if err != nil {
		c.closeMedia()
		return err
	}
	defer l.close()
	if err := c.place(l.to(name)); err != nil {
		return err
	}
	if s.Timeout > 0 {
		s.timeLeft = max(s.Timeout-time.Since(begin), time.Millisecond)
	}
	l.onSessionLost(c.call.SignalingRestored)
	var routing sync.WaitGroup
	defer routing.Wait()
	route, stop := context.WithCancel(ctx)
	defer stop()
	routing.Go(func() { c.route(route, l) })
	stopInput, err := s.commands(only(c))
	if err != nil {
		c.closeMedia()
		return err
	}
	defer stopInput()
	return c.run(ctx)
}

// signIn signs in within --timeout. With expectations, a server that
// does not answer is one that did not hold.
func (s *settings) signIn(ctx context.Context) (*signalingConn, error) {
	if s.Timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, s.Timeout)
		defer cancel()
		ctx = limited
	}
	l, err := signIn(ctx, s.signaling())
	if exit.CodeOf(err) == exit.Timeout && len(s.Checks) > 0 {
		return nil, &exit.Error{Code: exit.Expectation, Err: fmt.Errorf("an expectation did not hold: %w", err)}
	}
	return l, err
}

// signaling returns the options of the connection to the signaling server.
func (s *settings) signaling() signalingOptions {
	return signalingOptions{Signaling: s.Signaling, ICEServers: s.ICEServers, RelayOnly: s.RelayOnly, Timeout: s.Timeout, RetryTaken: s.RetryTaken,
		Report: s.report, Logger: s.logger}
}

// route hands the messages of the server to the call, the only one.
func (c *session) route(ctx context.Context, l *signalingConn) {
	for {
		m, err := l.receive(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.lost(err)
			c.signalingLost(err)
			return
		case m.Peer != "" && m.Peer != c.name:
			l.rejectBusy(ctx, m)
		default:
			c.deliver(m)
		}
	}
}

// deliver hands a message of the peer to the call.
func (c *session) deliver(m signal.Message) {
	deliverBy(c.middleware, c.pass)(m)
}

// pass hands a message of the peer to the call.
func (c *session) pass(m signal.Message) {
	switch m.Type {
	case signal.Offer:
		c.call.DeliverOffer(description(m))
	case signal.Answer:
		c.call.DeliverAnswer(description(m))
	case signal.ICECandidate:
		c.call.DeliverCandidate(candidateInit(m.Candidate))
	case signal.Leave:
		if !m.Lost || !c.isConnected() {
			c.call.DeliverLeave()
			return
		}
		c.report.Infof("%s has lost the signaling server; the call goes on as long as something comes", sanitize.Text(c.name))
		c.call.DeliverUnreachable()
	case signal.Error:
		c.complained(m)
	}
}

// absentRetryDelay is how long after the server did not know the peer of a call
// that is up it is asked again.
const absentRetryDelay = 3 * time.Second

// codeNoCall is the server's error for a message of a call that is over.
const codeNoCall = "no_call"

// complained takes an error of the server.
func (c *session) complained(m signal.Message) {
	switch {
	case m.Code == signal.CodeAbsent && !c.isConnected():
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.absent == nil {
			c.absent = exit.Errorf(exit.Absent, "%s is not signed in at %s", sanitize.Text(c.name), sanitize.Text(c.Server))
			c.call.Hangup()
		}
	case m.Code == signal.CodeAbsent: // say because it comes back to the server after us
		time.AfterFunc(absentRetryDelay, c.call.SignalingRestored)
	case m.Code == codeNoCall: // messages crossed a hang-up
		c.logger.Debug("the signaling server says", "text", m.Text)
	default:
		c.report.Warnf("the signaling server says: %s", sanitize.Text(m.Text))
	}
}

// isAbsent reports whether the server says that the peer is not signed in.
func (c *session) isAbsent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.absent != nil
}

// signalingLost ends a call that is not up yet. One that is goes on.
func (c *session) signalingLost(err error) {
	if c.isConnected() {
		c.report.Warnf("%v; the call with %s goes on", err, sanitize.Text(c.name))
		return
	}
	c.fail(err)
}

// continues reports whether an offer belongs to this call.
func (c *session) continues(sdp string) bool {
	d, err := peer.ParseDescription(sdp)
	return err != nil || c.call.Continues(d)
}

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
func call(ctx context.Context, o *options, r *resources, name string) error {
	if err := r.open(o.toOpen()); err != nil {
		return err
	}
	defer r.close()
	c, err := openSession(ctx, sessionConfig{options: o, resources: r, peer: name, caller: true})
	if err != nil {
		return exit.OrInterruption(ctx, err)
	}
	begin := time.Now()
	l, err := logIn(ctx, o, r)
	if err != nil {
		c.closeMedia()
		return err
	}
	defer l.close()
	if err := c.place(l.to(name)); err != nil {
		return err
	}
	if o.Timeout > 0 {
		o.timeLeft = max(o.Timeout-time.Since(begin), time.Millisecond)
	}
	l.onSessionLost(c.call.SignalingRestored)
	var routing sync.WaitGroup
	defer routing.Wait()
	route, stop := context.WithCancel(ctx)
	defer stop()
	routing.Go(func() { c.route(route, l) })
	stopInput, err := readInput(o, r, only(c))
	if err != nil {
		c.closeMedia()
		return err
	}
	defer stopInput()
	return c.run(ctx)
}

// logIn logs in within --timeout. With expectations, a server that
// does not answer is one that did not hold.
func logIn(ctx context.Context, o *options, r *resources) (*signalingConn, error) {
	if o.Timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		ctx = limited
	}
	l, err := signIn(ctx, toSignIn(o, r))
	if exit.CodeOf(err) == exit.Timeout && len(o.Checks) > 0 {
		return nil, &exit.Error{Code: exit.Expectation, Err: fmt.Errorf("an expectation did not hold: %w", err)}
	}
	return l, err
}

// toSignIn returns the options of the connection to the signaling server.
func toSignIn(o *options, r *resources) signalingOptions {
	return signalingOptions{Signaling: o.Signaling, ICEServers: o.ICEServers, RelayOnly: o.RelayOnly, Timeout: o.Timeout, RetryTaken: o.RetryTaken,
		Report: r.report, Logger: r.logger}
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
		c.resources.report.Infof("%s has lost the signaling server; the call goes on as long as something comes", sanitize.Text(c.name))
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
			c.absent = exit.Errorf(exit.Absent, "%s is not signed in at %s", sanitize.Text(c.name), sanitize.Text(c.options.Server))
			c.call.Hangup()
		}
	case m.Code == signal.CodeAbsent: // say because it comes back to the server after us
		time.AfterFunc(absentRetryDelay, c.call.SignalingRestored)
	case m.Code == codeNoCall: // messages crossed a hang-up
		c.resources.logger.Debug("the signaling server says", "text", m.Text)
	default:
		c.resources.report.Warnf("the signaling server says: %s", sanitize.Text(m.Text))
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
		c.resources.report.Warnf("%v; the call with %s goes on", err, sanitize.Text(c.name))
		return
	}
	c.Fail(err)
}

// continues reports whether an offer belongs to this call.
func (c *session) continues(sdp string) bool {
	d, err := peer.ParseDescription(sdp)
	return err != nil || c.call.Continues(d)
}

package session

import (
	"context"
	"fmt"
	"sync"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/signaling"
	"parley/peer"
	"parley/signal"
)

// Call logs in and calls name.
func Call(ctx context.Context, o *Options, r *resources.Resources, name string) error {
	if err := r.Open(o.ResourcesOptions()); err != nil {
		return err
	}
	defer r.Close()
	c, err := New(ctx, Config{Options: o, Resources: r, Peer: name, Caller: true})
	if err != nil {
		return exit.OrInterruption(ctx, err)
	}
	begin := time.Now()
	l, err := SignIn(ctx, o, r)
	if err != nil {
		c.Close()
		return err
	}
	defer l.Close()
	if o.Timeout > 0 {
		o.TimeLeft = max(o.Timeout-time.Since(begin), time.Millisecond)
	}
	awaited, err := AwaitPresence(ctx, l, name, o.Wait, r.Report, true)
	if err != nil {
		c.Close()
		return err
	}
	awaited.Attach(c)
	if err := c.Place(l.To(name)); err != nil {
		return err
	}
	l.OnSessionLost(c.Call.SignalingRestored)
	var routing sync.WaitGroup
	defer routing.Wait()
	route, stop := context.WithCancel(ctx)
	defer stop()
	awaited.DeliverEarly()
	routing.Go(func() { c.Route(route, l) })
	stopInput, err := ReadInput(o, r, only(c))
	if err != nil {
		c.Close()
		return err
	}
	defer stopInput()
	return c.Run(ctx)
}

// SignIn logs in within --timeout. With expectations, a server that
// does not answer is one that did not hold.
func SignIn(ctx context.Context, o *Options, r *resources.Resources) (*signaling.Conn, error) {
	if o.Timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		ctx = limited
	}
	l, err := signaling.SignIn(ctx, SignalingOptions(o, r))
	if exit.CodeOf(err) == exit.Timeout && len(o.Checks) > 0 {
		return nil, &exit.Error{Code: exit.Expectation, Err: fmt.Errorf("an expectation did not hold: %w", err)}
	}
	return l, err
}

// SignalingOptions returns the options of the connection to the signaling server.
func SignalingOptions(o *Options, r *resources.Resources) signaling.Options {
	return signaling.Options{Signaling: o.Signaling, ICEServers: o.ICEServers, RelayOnly: o.RelayOnly, Timeout: o.Timeout, RetryTaken: o.RetryTaken,
		Report: r.Report, Logger: r.Logger}
}

// Route hands the messages of the server to the call, the only one.
func (c *Session) Route(ctx context.Context, l *signaling.Conn) {
	for {
		m, err := l.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.Lost(err)
			c.SignalingLost(err)
			return
		case m.Peer != "" && m.Peer != c.Name:
			l.RejectBusy(ctx, m)
		default:
			c.Deliver(m)
		}
	}
}

// Deliver hands a message of the peer to the call.
func (c *Session) Deliver(m signal.Message) {
	signaling.DeliverBy(c.middleware, c.pass)(m)
}

// pass hands a message of the peer to the call.
func (c *Session) pass(m signal.Message) {
	switch m.Type {
	case signal.Offer:
		c.Call.DeliverOffer(signaling.Description(m))
	case signal.Answer:
		c.Call.DeliverAnswer(signaling.Description(m))
	case signal.ICECandidate:
		c.Call.DeliverCandidate(signaling.CandidateInit(m.Candidate))
	case signal.Leave:
		if !m.Lost || !c.IsConnected() {
			c.Call.DeliverLeave()
			return
		}
		c.Resources.Report.Infof("%s has lost the signaling server; the call goes on as long as something comes", sanitize.Text(c.Name))
		c.Call.DeliverUnreachable()
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
func (c *Session) complained(m signal.Message) {
	switch {
	case m.Code == signal.CodeAbsent && !c.IsConnected():
		c.notThere(exit.Errorf(exit.Absent, "%s is not signed in at %s", sanitize.Text(c.Name), sanitize.Text(c.options.Server)))
	case m.Code == signal.CodeAbsent: // say because it comes back to the server after us
		time.AfterFunc(absentRetryDelay, c.Call.SignalingRestored)
	case m.Code == codeNoCall: // messages crossed a hang-up
		c.Resources.Logger.Debug("the signaling server says", "text", m.Text)
	default:
		c.Resources.Report.Warnf("the signaling server says: %s", sanitize.Text(m.Text))
	}
}

// IsAbsent reports whether the server says that the peer is not signed in.
func (c *Session) IsAbsent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.absent != nil
}

// SignalingLost ends a call that is not up yet. One that is goes on.
func (c *Session) SignalingLost(err error) {
	if c.IsConnected() {
		c.Resources.Report.Warnf("%v; the call with %s goes on", err, sanitize.Text(c.Name))
		return
	}
	c.Fail(err)
}

// Continues reports whether an offer belongs to this call.
func (c *Session) Continues(sdp string) bool {
	d, err := peer.ParseDescription(sdp)
	return err != nil || c.Call.Continues(d)
}

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
	"parley/cmd/parley/internal/signaling/adapter"
	"parley/peer"
	"parley/signal"
)

// Call signs in, calls name and returns when the call is over.
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

// SignIn signs in within --timeout. With expectations, a server that
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
	so := signaling.Options{Signaling: o.Signaling, ICEServers: o.ICEServers, RelayOnly: o.RelayOnly, Timeout: o.Timeout, RetryTaken: o.RetryTaken, WHIP: o.WHIP,
		Report: r.Report, Logger: r.Logger}
	switch {
	case o.Program != "":
		so.Open = func(ctx context.Context) (signaling.Transport, error) { return startAdapter(ctx, o, r) }
	case o.Manual:
		so.Open = func(context.Context) (signaling.Transport, error) { return newExchange(o, r) }
	}
	return so
}

// startAdapter starts the program of --signaling.
func startAdapter(ctx context.Context, o *Options, r *resources.Resources) (signaling.Transport, error) {
	a, err := adapter.Start(ctx, adapter.Options{
		Command: o.Program, Name: o.Name, Stderr: r.Report.PassThrough, Warn: r.Report.Warnf, Logger: r.Logger,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
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
		case m.Peer != "" && m.Peer != c.peer:
			l.RejectBusy(ctx, m)
		default:
			c.Deliver(m)
		}
	}
}

// Deliver hands a message of the peer to the middleware and to the call.
func (c *Session) Deliver(m signal.Message) {
	signaling.DeliverBy(c.middleware, func(m signal.Message) { handleMessage(c, m) })(m)
}

// handleMessage hands a message of the peer, past the middleware, to the call.
func handleMessage(c *Session, m signal.Message) {
	switch {
	case m.Type == signal.Leave && m.Lost && c.IsConnected():
		c.resources.Report.Infof("%s has lost the signaling server; the call goes on as long as something comes", sanitize.Text(c.peer))
		c.Call.DeliverUnreachable()
	case m.Type == signal.Error:
		handleError(c, m)
	default:
		signaling.Deliver(c.Call, m)
	}
}

// absentRetryDelay is how long after the server did not know the peer of a call
// that is up it is asked again.
const absentRetryDelay = 3 * time.Second

// codeNoCall is the server's error for a message of a call that is over.
const codeNoCall = "no_call"

// handleError handles an error of the server.
func handleError(c *Session, m signal.Message) {
	switch {
	case m.Code == signal.CodeAbsent && !c.IsConnected():
		c.notThere(exit.Errorf(exit.Absent, "%s is not signed in at %s", sanitize.Text(c.peer), sanitize.Text(c.options.Server)))
	case (m.Code == signal.CodeBadName || m.Code == signal.CodeTooManyCalls) && !c.IsConnected():
		c.Fail(exit.Errorf(exit.Absent, "%s cannot be called: the signaling server says: %s", sanitize.Text(c.peer), sanitize.Text(m.Text)))
	case m.Code == signal.CodeUnavailable && !c.IsConnected():
		c.Fail(exit.Errorf(exit.Signaling, "%s cannot be called: the signaling server says: %s", sanitize.Text(c.peer), sanitize.Text(m.Text)))
	case (m.Code == signal.CodeAbsent || m.Code == signal.CodeUnavailable) && c.IsConnected(): // say because it comes back to the server after us
		time.AfterFunc(absentRetryDelay, c.Call.SignalingRestored)
	case m.Code == codeNoCall: // messages crossed a hang-up
		c.resources.Logger.Debug("the signaling server says", "text", m.Text)
	default:
		c.resources.Report.Warnf("the signaling server says: %s", sanitize.Text(m.Text))
	}
}

// IsAbsent reports whether the server says that the peer is not signed in.
func (c *Session) IsAbsent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.absent != nil
}

// SignalingLost ends a call that is not connected yet, or any call if err is such an error.
func (c *Session) SignalingLost(err error) {
	if c.IsConnected() && !signaling.EndsCalls(err) {
		c.resources.Report.Warnf("%v; the call with %s goes on", err, sanitize.Text(c.peer))
		return
	}
	c.Fail(err)
}

// Continues reports whether an offer belongs to this call.
func (c *Session) Continues(sdp string) bool {
	d, err := peer.ParseDescription(sdp)
	return err != nil || c.Call.Continues(d)
}

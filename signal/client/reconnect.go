package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/internal/wire"
)

const (
	// The pause before an attempt to reconnect is a random part of a time that doubles from
	// minRetryPause to maxRetryPause, so that the clients of a restarted server do not reconnect at
	// the same time.
	minRetryPause = 250 * time.Millisecond
	maxRetryPause = 5 * time.Second
)

// State is a change of a Client's connection, see Options.OnState.
type State struct {
	// Lost is true if the connection broke and the client tries to reconnect, false if it has
	// reconnected.
	Lost bool
	// Err is why the connection broke.
	Err error
	// Resumed is true if the server kept the session, or continues that of another server: calls go
	// on, and each message is delivered once. Otherwise the client has logged in anew; the server
	// knows of no call, and messages in flight are lost.
	Resumed bool
}

// run runs one transport after the other until Close or a final error.
func (c *Client) run(ws *websocket.Conn) error {
	t := newTransport(c, ws, nil)
	for {
		err := t.run()
		if errors.Is(err, ErrClosed) || !c.session.resumable() || Final(err) {
			return err
		}
		c.reportState(State{Lost: true, Err: err})
		next, resumed, failed := c.reconnect()
		if failed != nil {
			return c.retryError(err, failed)
		}
		c.reportState(State{Resumed: resumed})
		t = next
	}
}

func (c *Client) reportState(s State) {
	if c.opts.OnState != nil {
		c.opts.OnState(s)
	}
}

// retryError returns the error of a client that did not reconnect: failed if it is a refused login,
// and otherwise lost with failed as its Retry.
func (c *Client) retryError(lost, failed error) error {
	var login *LoginError
	if errors.Is(failed, ErrClosed) || errors.As(failed, &login) {
		return failed
	}
	var l *LostError
	if errors.As(lost, &l) {
		return &LostError{Code: l.Code, Reason: l.Reason, Err: l.Err, Retry: failed}
	}
	return lost
}

// reconnect runs retryLoop for as long as Options.ShouldRetry returns true.
func (c *Client) reconnect() (t *transport, resumed bool, err error) {
	for {
		t, resumed, err = c.retryLoop()
		if err == nil || !retriable(err) || c.opts.ShouldRetry == nil || !c.opts.ShouldRetry() {
			return t, resumed, err
		}
	}
}

// retryLoop redials until it succeeds, for Options.MaxElapsedTime at most.
func (c *Client) retryLoop() (t *transport, resumed bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.MaxElapsedTime)
	defer cancel()
	stop := context.AfterFunc(c.ended, cancel)
	defer stop()
	for pause := minRetryPause; ; pause = min(2*pause, maxRetryPause) {
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
			if c.ended.Err() != nil {
				return nil, false, ErrClosed
			}
			if err == nil {
				err = fmt.Errorf("no connection within %v", c.opts.MaxElapsedTime)
			}
			return nil, false, err
		}
		var next error
		if t, resumed, next = c.redial(ctx); next == nil {
			return t, resumed, nil
		}
		if ctx.Err() == nil { // otherwise it says only that the time is over
			err = next
		}
		c.log.Debug("reconnecting failed", "error", next)
		if !retriable(next) {
			return nil, false, next
		}
	}
}

// retriable reports whether a client that was logged in tries again after err. It does if its name
// is taken, because the holder may be a session of its own that the server has not found dead yet.
func retriable(err error) bool {
	var login *LoginError
	return !Final(err) || errors.As(err, &login) && login.Code == signal.CodeTaken
}

// redial dials once and resumes the session, or begins a new one if that has ended.
func (c *Client) redial(ctx context.Context) (t *transport, resumed bool, err error) {
	ws, _, err := dial(ctx, c.url, c.opts)
	if err != nil {
		return nil, false, err
	}
	t, resumed, err = c.resume(ctx, ws)
	if err != nil {
		_ = ws.Close()
	}
	return t, resumed, err
}

func (c *Client) resume(ctx context.Context, ws *websocket.Conn) (t *transport, resumed bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = ws.NetConn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ask := c.session.resumeRequest()
	name := ask.Name
	if ask.Token, err = c.token(); err != nil {
		return nil, false, err
	}
	reply, err := c.exchangeLogin(ws, ask)
	if err != nil {
		return nil, false, err
	}
	if reply.Success {
		c.applyLogin(reply)
		again, ok := c.session.replayFrom(reply.Ack)
		if !ok {
			return nil, false, &LoginError{Name: name, Code: signal.CodeExpired, Message: "the server has lost count of the messages"}
		}
		if reply.ResumeToken != "" { // another server, which does not know of the watches
			c.session.continued(reply.ResumeToken, reply.ResumeFor)
			c.watches.sessionLost()
		}
		return newTransport(c, ws, again), true, nil
	}
	if reply.Code != signal.CodeExpired {
		return nil, false, c.loginResult(name, reply)
	}
	ask.ResumeToken, ask.Resume = "", true
	if reply, err = c.exchangeLogin(ws, ask); err != nil {
		return nil, false, err
	}
	if !reply.Success {
		return nil, false, c.loginResult(name, reply)
	}
	c.session.start(reply.ResumeToken, reply.ResumeFor)
	c.failPendingLogins()
	c.calls.reset()
	c.watches.sessionLost()
	c.applyLogin(reply)
	return newTransport(c, ws, nil), false, nil
}

// exchangeLogin sends a login on a connection that has no transport yet, and returns the reply.
func (c *Client) exchangeLogin(ws *websocket.Conn, ask wire.LoginRequest) (wire.LoginReply, error) {
	_ = ws.SetReadDeadline(time.Now().Add(c.opts.HandshakeTimeout))
	_ = ws.SetWriteDeadline(time.Now().Add(c.opts.HandshakeTimeout))
	ws.SetReadLimit(maxSkipped)
	frame, _ := c.codec.Login(ask)
	if err := ws.WriteMessage(websocket.TextMessage, frame); err != nil {
		return wire.LoginReply{}, newLostError(err)
	}
	for {
		typ, frame, err := ws.ReadMessage()
		if err != nil {
			return wire.LoginReply{}, newLostError(err)
		}
		if typ != websocket.TextMessage || len(frame) > maxIncoming {
			continue
		}
		if got, err := c.codec.Decode(frame); err == nil && got.Login != nil {
			return *got.Login, nil
		}
	}
}

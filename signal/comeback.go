package signal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// The pause before an attempt to reconnect is a random part of a time that doubles from minRetryPause
	// to maxRetryPause, so that the clients of a restarted server do not reconnect at the same time.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// State is a change of a Client's connection, see Options.OnState.
type State struct {
	// Lost is true if the connection broke and the client tries to reconnect, false if it has reconnected.
	Lost bool
	// Err is why the connection broke.
	Err error
	// Resumed is true if the server kept the session: calls go on, and each message is delivered once.
	// Otherwise the client has logged in anew; the server knows of no call, and messages in flight are lost.
	Resumed bool
}

// run runs one transport after the other until Close or a final error.
func (c *Client) live(ws *websocket.Conn) error {
	l := newLink(c, ws, nil)
	for {
		err := l.run()
		if errors.Is(err, ErrClosed) || !c.track.resumable() || Final(err) {
			return err
		}
		c.tell(State{Lost: true, Err: err})
		next, resumed, failed := c.comeBack()
		if failed != nil {
			return c.gaveUp(err, failed)
		}
		c.tell(State{Resumed: resumed})
		l = next
	}
}

func (c *Client) tell(s State) {
	if c.opts.OnState != nil {
		c.opts.OnState(s)
	}
}

// retryError returns the error of a client that did not reconnect: failed if it is a refused login, and
// otherwise lost with failed as its Retry.
func (c *Client) gaveUp(lost, failed error) error {
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
func (c *Client) comeBack() (l *link, resumed bool, err error) {
	for {
		l, resumed, err = c.tryFor()
		if err == nil || Final(err) || c.opts.KeepTrying == nil || !c.opts.KeepTrying() {
			return l, resumed, err
		}
	}
}

// retryLoop redials until it succeeds, for Options.MaxElapsedTime at most.
func (c *Client) tryFor() (l *link, resumed bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.RetryFor)
	defer cancel()
	stop := context.AfterFunc(c.ended, cancel)
	defer stop()
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
			if c.ended.Err() != nil {
				return nil, false, ErrClosed
			}
			if err == nil {
				err = fmt.Errorf("no connection within %v", c.opts.RetryFor)
			}
			return nil, false, err
		}
		var next error
		if l, resumed, next = c.tryBack(ctx); next == nil {
			return l, resumed, nil
		}
		if ctx.Err() == nil { // otherwise it says only that the time is over
			err = next
		}
		c.log.Debug("reconnecting failed", "error", next)
		if Final(next) {
			return nil, false, next
		}
	}
}

// redial dials once and resumes the session, or begins a new one if that has ended.
func (c *Client) tryBack(ctx context.Context) (l *link, resumed bool, err error) {
	ws, _, err := dial(ctx, c.url, c.opts)
	if err != nil {
		return nil, false, err
	}
	l, resumed, err = c.reenter(ctx, ws)
	if err != nil {
		_ = ws.Close()
	}
	return l, resumed, err
}

func (c *Client) reenter(ctx context.Context, ws *websocket.Conn) (l *link, resumed bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = ws.NetConn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	ticket, name, heard := c.track.state()
	ask := loginAsk{name: name, token: c.opts.Token, extras: true, ticket: ticket, heard: heard}
	reply, err := c.ask(ws, ask)
	if err != nil {
		return nil, false, err
	}
	if reply.success {
		c.setICE(reply.ice)
		again, ok := c.track.back(reply.ack)
		if !ok {
			return nil, false, &LoginError{Name: name, Code: CodeExpired, Message: "the server has lost count of the messages"}
		}
		return newLink(c, ws, again), true, nil
	}
	if reply.code != CodeExpired {
		return nil, false, loginResult(name, reply)
	}
	ask.ticket, ask.resume = "", true
	if reply, err = c.ask(ws, ask); err != nil {
		return nil, false, err
	}
	if !reply.success {
		return nil, false, loginResult(name, reply)
	}
	c.track.begin(reply.ticket, reply.wait)
	c.failReplies()
	c.setICE(reply.ice)
	return newLink(c, ws, nil), false, nil
}

// exchangeLogin sends a login on a connection that has no transport yet, and returns the reply.
func (c *Client) ask(ws *websocket.Conn, ask loginAsk) (loginReply, error) {
	_ = ws.SetReadDeadline(time.Now().Add(c.opts.HandshakeTimeout))
	_ = ws.SetWriteDeadline(time.Now().Add(c.opts.HandshakeTimeout))
	ws.SetReadLimit(maxSkipped)
	frame, _ := c.wire.login(ask)
	if err := ws.WriteMessage(websocket.TextMessage, frame); err != nil {
		return loginReply{}, newLostError(err)
	}
	for {
		typ, frame, err := ws.ReadMessage()
		if err != nil {
			return loginReply{}, newLostError(err)
		}
		if typ != websocket.TextMessage || len(frame) > maxIncoming {
			continue
		}
		if got, err := c.wire.decode(frame); err == nil && got.reply != nil {
			return *got.reply, nil
		}
	}
}

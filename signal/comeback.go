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
	// firstRetry and lastRetry bound the wait before an attempt to come back: a random part of a time that doubles from one to the
	// other, so that the clients of a server that restarts do not come all at once.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// State tells the owner of a Client about its connection; see ClientOptions.OnState.
type State struct {
	// Lost tells that the connection broke and that the client tries to come back; otherwise it is back.
	Lost bool
	// Err is why it was lost.
	Err error
	// Resumed tells, when it is back, that the server kept the session: calls go on, and every message arrives once. Otherwise the client
	// has signed in anew; the server knows of no call, and messages that were on their way are gone.
	Resumed bool
}

// live serves one link after the other, until Close or an end that is final.
func (c *Client) live(ws *websocket.Conn) error {
	l := newLink(c, ws, nil)
	for {
		err := l.run()
		if ticket, _, _, _ := c.track.state(); errors.Is(err, ErrClosed) || ticket == "" || Final(err) {
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

// gaveUp is the error of a client that was not able to come back: the reason, if there is a plain one, or else that of the loss.
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

// comeBack tries to get a new connection until that makes no sense any more.
func (c *Client) comeBack() (l *link, resumed bool, err error) {
	for {
		l, resumed, err = c.tryFor()
		if err == nil || Final(err) || c.opts.KeepTrying == nil || !c.opts.KeepTrying() {
			return l, resumed, err
		}
	}
}

// tryFor tries for ClientOptions.RetryFor.
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
				err = fmt.Errorf("it did not come back within %v", c.opts.RetryFor)
			}
			return nil, false, err
		}
		var next error
		if l, resumed, next = c.tryBack(ctx); next == nil {
			return l, resumed, nil
		}
		if ctx.Err() == nil { // otherwise it says only that time is up
			err = next
		}
		c.log.Debug("not back yet", "error", next)
		if Final(next) {
			return nil, false, next
		}
	}
}

// tryBack dials once, and asks for the session, or for a new one if that has ended.
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
	ticket, name, _, heard := c.track.state()
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

// ask sends a login on a connection that has no link yet, and waits for the reply.
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

// Final reports whether an error of a Client is not worth another try: the login was refused for good, or the connection was closed with
// a code that says so.
func Final(err error) bool {
	var login *LoginError
	var lost *LostError
	var unreachable *unreachableError
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, ErrAddress):
		return true
	case errors.As(err, &login):
		switch login.Code {
		case CodeTaken, CodeBadName, CodeBadMessage, CodeUnauthorized:
			return true
		}
	case errors.As(err, &lost):
		switch lost.Code {
		case websocket.CloseProtocolError, websocket.CloseUnsupportedData, websocket.CloseInvalidFramePayloadData,
			websocket.ClosePolicyViolation, websocket.CloseMessageTooBig, close4400, close4401, 4403, close4409:
			return true
		}
	case errors.As(err, &unreachable):
		return unreachable.final
	}
	return false
}

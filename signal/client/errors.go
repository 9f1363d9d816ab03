package client

import (
	"errors"
	"fmt"
	"net"

	"github.com/gorilla/websocket"

	"parley/signal"
)

var (
	// ErrUnreachable is wrapped by the errors of Dial when no signaling server answered.
	ErrUnreachable = errors.New("the signaling server cannot be reached")
	// ErrClosed is returned by the methods of a Client after Close.
	ErrClosed = errors.New("the connection to the signaling server is closed")
)

// LoginError is the error of a login that the server refused.
type LoginError struct {
	// Name is the requested name.
	Name string
	// Code is one of the codes of package signal. Code is signal.CodeTaken if the server sent none,
	// because that is the only reason of the original server.
	Code string
	// Message is the text of the server. The original server sends none.
	Message string
	// Connected is true if the name is taken by a client that the server has found connected. Then
	// another login fails until that client leaves. Original servers do not check the connection:
	// the holder may be an earlier session of this client, whose connection is dead.
	Connected bool
}

func (e *LoginError) Error() string {
	switch {
	case e.Connected:
		return fmt.Sprintf("the name %q is taken, and its client is connected; choose another", e.Name)
	case e.Code == signal.CodeTaken:
		return fmt.Sprintf("the name %q is taken; choose another", e.Name)
	case e.Code == signal.CodeUnauthorized && e.Message != "":
		return fmt.Sprintf("the server refused the login as %q: %s", e.Name, e.Message)
	case e.Message != "":
		return fmt.Sprintf("the server refused the name %q: %s", e.Name, e.Message)
	}
	return fmt.Sprintf("the server refused the name %q (%s)", e.Name, e.Code)
}

// LostError is the error of a connection that ended without Close.
type LostError struct {
	// Code is the WebSocket close code (RFC 6455 section 7.4) of the server, or of the client if it
	// closed the connection because of a frame. Code is 1006 if the connection ended without one.
	Code int
	// Reason is the printable text of the server's close frame, often empty.
	Reason string
	// Err is the error of the socket; nil if the server sent a close frame.
	Err error
	// Retry is why the client did not reconnect; nil if it did not try.
	Retry error
}

func (e *LostError) Error() string {
	if e.Retry != nil {
		return fmt.Sprintf("%s, and did not come back: %v", e.text(), e.Retry)
	}
	return e.text()
}

func (e *LostError) text() string {
	const lost = "the connection to the signaling server was lost"
	switch {
	case e.Reason != "":
		return fmt.Sprintf("%s: %s (%d)", lost, e.Reason, e.Code)
	case e.Err != nil:
		return fmt.Sprintf("%s: %v", lost, e.Err)
	case e.Code == websocket.CloseGoingAway:
		return lost + ": the server is shutting down"
	}
	return fmt.Sprintf("%s: the server closed it with code %d", lost, e.Code)
}

func (e *LostError) Unwrap() error { return e.Err }

// newLostError returns the LostError for the error of a read or a write.
func newLostError(err error) *LostError {
	lost := &LostError{Code: websocket.CloseAbnormalClosure, Err: err}
	var frame *frameError
	switch {
	case errors.As(err, &frame):
		lost.Code = frame.code
	case errors.Is(err, websocket.ErrReadLimit): // the close frame has been sent
		lost.Code, lost.Err = websocket.CloseMessageTooBig, fmt.Errorf("a message of the server has more than %d bytes: %w", maxSkipped, err)
	}
	var closed *websocket.CloseError
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		lost.Err = fmt.Errorf("nothing was heard from it in time: %w", err)
	}
	if errors.As(err, &closed) {
		lost.Code, lost.Reason = closed.Code, signal.Printable(closed.Text)
		lost.Err = nil
		if closed.Code == websocket.CloseAbnormalClosure {
			lost.Reason, lost.Err = "", errors.New("it broke off")
		}
	}
	return lost
}

// Final reports whether another attempt after err would fail again: the login was refused for good,
// or the close code is a final one (see the section Close codes of package signal).
func Final(err error) bool {
	var login *LoginError
	var lost *LostError
	var unreachable *unreachableError
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, ErrAddress):
		return true
	case errors.As(err, &login):
		switch login.Code {
		case signal.CodeTaken, signal.CodeBadName, signal.CodeBadMessage, signal.CodeUnauthorized:
			return true
		}
	case errors.As(err, &lost):
		switch lost.Code {
		case websocket.CloseProtocolError, websocket.CloseUnsupportedData, websocket.CloseInvalidFramePayloadData,
			websocket.ClosePolicyViolation, websocket.CloseMessageTooBig, signal.CloseBadSequence, signal.CloseUnauthorized, signal.CloseForbidden, signal.CloseReplaced:
			return true
		}
	case errors.As(err, &unreachable):
		return unreachable.final
	}
	return false
}

package signal

import (
	"errors"
	"fmt"
	"net"

	"github.com/gorilla/websocket"
)

var (
	// ErrUnreachable is wrapped by the errors of Dial that tell that no signaling server answered there.
	ErrUnreachable = errors.New("the signaling server cannot be reached")
	// ErrClosed is returned by the methods of a Client that was closed.
	ErrClosed = errors.New("the connection to the signaling server is closed")
)

// LoginError tells that the server refused a login.
type LoginError struct {
	// Name is the name that was asked for.
	Name string
	// Code is one of the Code constants; CodeTaken where the server gives none, as that is the original's only reason.
	Code string
	// Message is the server's sentence; the original sends none.
	Message string
}

func (e *LoginError) Error() string {
	switch {
	case e.Code == CodeTaken:
		return fmt.Sprintf("the name %q is taken; choose another", e.Name)
	case e.Code == CodeUnauthorized && e.Message != "":
		return fmt.Sprintf("the server refused the login as %q: %s", e.Name, e.Message)
	case e.Message != "":
		return fmt.Sprintf("the server refused the name %q: %s", e.Name, e.Message)
	}
	return fmt.Sprintf("the server refused the name %q (%s)", e.Name, e.Code)
}

// LostError tells that the connection to the server ended without Close.
type LostError struct {
	// Code is the WebSocket close code (RFC 6455, 7.4), 1006 when the connection broke without one.
	Code int
	// Reason is what the server gave with the code: printable, often empty.
	Reason string
	// Err is what happened beneath; nil when the server closed properly.
	Err error
	// Retry is why the client has not come back; nil if it did not try.
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

// newLostError makes a LostError of the error that ended a read or a write.
func newLostError(err error) *LostError {
	lost := &LostError{Code: websocket.CloseAbnormalClosure, Err: err}
	var closed *websocket.CloseError
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		lost.Err = fmt.Errorf("nothing was heard from it in time: %w", err)
	}
	if errors.As(err, &closed) {
		lost.Code, lost.Reason = closed.Code, printable(closed.Text)
		lost.Err = nil
		if closed.Code == websocket.CloseAbnormalClosure {
			lost.Reason, lost.Err = "", errors.New("it broke off")
		}
	}
	return lost
}

// Package exit maps the error of a command to the exit code of the process.
package exit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"parley/media"
	"parley/peer"
	"parley/signal"
	"parley/signal/client"
	whipclient "parley/signal/whip/client"
)

// Code is the exit code of the process. The codes are part of the interface.
type Code int

const (
	OK          Code = 0
	Failure     Code = 1 // any failure without a code of its own
	Usage       Code = 2
	Expectation Code = 3
	Timeout     Code = 4
	Signaling   Code = 10 // signaling server unreachable or lost
	Login       Code = 11 // login refused
	Absent      Code = 12 // peer absent, busy or declined
	Device      Code = 20 // device or file
	Negotiation Code = 30
	Connection  Code = 40 // ICE, DTLS
	Interrupted Code = 130
)

// Codes returns all codes in their order.
func Codes() []Code {
	return []Code{OK, Failure, Usage, Expectation, Timeout, Signaling, Login, Absent, Device, Negotiation, Connection, Interrupted}
}

// String returns what the code means.
func (c Code) String() string {
	return map[Code]string{
		OK: "success", Failure: "other failure", Usage: "usage", Expectation: "expectation failed", Timeout: "timeout",
		Signaling: "signaling server unreachable or lost", Login: "login refused", Absent: "peer absent, busy or declined",
		Device: "device or file", Negotiation: "negotiation failed", Connection: "no connection (ICE, DTLS)", Interrupted: "interrupted",
	}[c]
}

// Error is an error with its exit code.
type Error struct {
	Code Code
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ReportedError is an error that the user has seen already and that is not printed again.
type ReportedError struct{ Err error }

func (e *ReportedError) Error() string { return e.Err.Error() }
func (e *ReportedError) Unwrap() error { return e.Err }

// SignalError is the cause of a context that a signal canceled.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return e.Signal.String() }

// Errorf returns an *Error with the formatted message.
func Errorf(code Code, format string, a ...any) error {
	return &Error{code, fmt.Errorf(format, a...)}
}

// Usagef returns an *Error with the code Usage and the formatted message.
func Usagef(format string, a ...any) error { return Errorf(Usage, format, a...) }

// CodeOf returns the exit code for an error of any package.
func CodeOf(err error) Code {
	var (
		exitError   *Error
		login       *client.LoginError
		lost        *client.LostError
		call        *peer.Error
		file        *media.FileError
		spec        *media.SpecError
		interrupted *SignalError
		request     *whipclient.Error
	)
	switch {
	case err == nil:
		return OK
	case errors.As(err, &exitError):
		return exitError.Code
	case errors.As(err, &interrupted):
		return Interrupted
	case errors.As(err, &request):
		return requestCode(request.Kind)
	case errors.As(err, &login):
		return Login
	case errors.As(err, &lost) && lost.Code == signal.CloseUnauthorized: // the token has expired
		return Login
	case errors.As(err, &lost), errors.Is(err, client.ErrUnreachable), errors.Is(err, client.ErrClosed):
		return Signaling
	case errors.As(err, &call):
		return stageCode(call.Stage)
	case errors.As(err, &file):
		return Device
	case errors.As(err, &spec), errors.Is(err, client.ErrAddress):
		return Usage
	}
	return Failure
}

func requestCode(k whipclient.Kind) Code {
	switch k {
	case whipclient.Unreachable:
		return Signaling
	case whipclient.Unauthorized:
		return Login
	case whipclient.Absent:
		return Absent
	default:
		return Negotiation
	}
}

func stageCode(s peer.Stage) Code {
	switch s {
	case peer.Signaling:
		return Signaling
	case peer.Negotiation, peer.Verification:
		return Negotiation
	default:
		return Connection
	}
}

// Interruption returns the error of a command whose context was canceled by a signal. It returns
// nil if the context was not.
func Interruption(ctx context.Context) error {
	var i *SignalError
	if errors.As(context.Cause(ctx), &i) {
		return &ReportedError{i}
	}
	return nil
}

// OrInterruption returns the Interruption of ctx, or err without one.
func OrInterruption(ctx context.Context, err error) error {
	if i := Interruption(ctx); i != nil {
		return i
	}
	return err
}

// Terminated reports whether SIGTERM or SIGHUP canceled ctx. A service is stopped by them, so it is
// no failure of one.
func Terminated(ctx context.Context) bool {
	var i *SignalError
	return errors.As(context.Cause(ctx), &i) && (i.Signal == syscall.SIGTERM || i.Signal == syscall.SIGHUP)
}

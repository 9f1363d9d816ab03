package main

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
)

// exitCode is what the process returns; the codes are part of the interface.
type exitCode int

const (
	exitOK          exitCode = 0
	exitFailure     exitCode = 1
	exitUsage       exitCode = 2
	exitExpectation exitCode = 3
	exitTimeout     exitCode = 4
	exitSignaling   exitCode = 10
	exitLogin       exitCode = 11
	exitAbsent      exitCode = 12
	exitDevice      exitCode = 20
	exitNegotiation exitCode = 30
	exitConnection  exitCode = 40
	exitInterrupted exitCode = 130
)

// coded is an error with its exit code.
type coded struct {
	code exitCode
	err  error
}

func (c *coded) Error() string { return c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

// silent is an error that has been told already.
type silent struct{ err error }

func (s *silent) Error() string { return s.err.Error() }
func (s *silent) Unwrap() error { return s.err }

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ signal os.Signal }

func (i *interrupted) Error() string { return i.signal.String() }

func failf(code exitCode, format string, a ...any) error {
	return &coded{code, fmt.Errorf(format, a...)}
}

func usagef(format string, a ...any) error { return failf(exitUsage, format, a...) }

// codeOf is the exit code for an error of any package.
func codeOf(err error) exitCode {
	var (
		c           *coded
		login       *client.LoginError
		lost        *client.LostError
		call        *peer.Error
		file        *media.FileError
		spec        *media.SpecError
		interrupted *interrupted
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	case errors.As(err, &interrupted):
		return exitInterrupted
	case errors.As(err, &login):
		return exitLogin
	case errors.As(err, &lost) && lost.Code == signal.CloseUnauthorized: // the token has expired
		return exitLogin
	case errors.As(err, &lost), errors.Is(err, client.ErrUnreachable), errors.Is(err, client.ErrClosed):
		return exitSignaling
	case errors.As(err, &call):
		return callCode(call.Stage)
	case errors.As(err, &file):
		return exitDevice
	case errors.As(err, &spec), errors.Is(err, client.ErrAddress):
		return exitUsage
	}
	return exitFailure
}

func callCode(s peer.Stage) exitCode {
	switch s {
	case peer.Signaling:
		return exitSignaling
	case peer.Negotiation, peer.Verification:
		return exitNegotiation
	default:
		return exitConnection
	}
}

// interruption is the error for a context that a signal ended, else nil.
func interruption(ctx context.Context) error {
	var i *interrupted
	if errors.As(context.Cause(ctx), &i) {
		return &silent{i}
	}
	return nil
}

// orInterrupted is err, unless it came about because a signal ended ctx.
func orInterrupted(ctx context.Context, err error) error {
	if i := interruption(ctx); i != nil {
		return i
	}
	return err
}

// terminated tells if ctx was ended by SIGTERM, which is how a service is
// stopped and no failure of one.
func terminated(ctx context.Context) bool {
	var i *interrupted
	return errors.As(context.Cause(ctx), &i) && i.signal == syscall.SIGTERM
}

package exit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"parley/media"
	"parley/peer"
	"parley/signal"
	"parley/signal/client"
)

func TestCodeOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Code
	}{
		{nil, OK},
		{errors.New("any"), Failure},
		{Usagef("invalid %s", "x"), Usage},
		{Errorf(Absent, "gone"), Absent},
		{&ReportedError{&SignalError{os.Interrupt}}, Interrupted},
		{&ReportedError{Errorf(Timeout, "late")}, Timeout},
		{&client.LoginError{}, Login},
		{&client.LostError{Code: signal.CloseUnauthorized}, Login},
		{&client.LostError{}, Signaling},
		{client.ErrUnreachable, Signaling},
		{client.ErrClosed, Signaling},
		{client.ErrAddress, Usage},
		{&peer.Error{Stage: peer.Signaling, Err: errors.New("x")}, Signaling},
		{&peer.Error{Stage: peer.Negotiation, Err: errors.New("x")}, Negotiation},
		{&peer.Error{Stage: peer.Verification, Err: errors.New("x")}, Negotiation},
		{&peer.Error{Stage: peer.Connection, Err: errors.New("x")}, Connection},
		{&media.FileError{Err: errors.New("x")}, Device},
		{&media.SpecError{}, Usage},
		{&Error{Expectation, &client.LoginError{}}, Expectation}, // the outermost code
	} {
		wrapped := test.err
		if wrapped != nil {
			wrapped = fmt.Errorf("in a command: %w", test.err)
		}
		if got := CodeOf(wrapped); got != test.want {
			t.Errorf("%T: got %d, want %d", test.err, got, test.want)
		}
	}
}

func TestInterruption(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if err := Interruption(ctx); err != nil {
			t.Errorf("before %v: got %v", signal, err)
		}
		failure := errors.New("failure")
		if err := OrInterruption(ctx, failure); err != failure {
			t.Errorf("before %v: got %v, want %v", signal, err, failure)
		}
		cancel(&SignalError{signal})
		var reported *ReportedError
		if err := OrInterruption(ctx, failure); !errors.As(err, &reported) || CodeOf(err) != Interrupted {
			t.Errorf("after %v: got %v with code %d", signal, err, CodeOf(err))
		}
		if got, want := Terminated(ctx), signal == syscall.SIGTERM; got != want {
			t.Errorf("after %v: Terminated is %t", signal, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Interruption(ctx); err != nil {
		t.Errorf("canceled without a signal: got %v", err)
	}
}

package pipe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

// ends are what a pipe joins to the channel.
type ends struct {
	in   io.Reader    // what is sent
	out  io.Writer    // gets what is received
	stop func()       // ends reads of in that wait
	full func() error // out has all: closes it, if that is for us to do
	// done waits for the end of whatever in and out belong to, and returns how it
	// went. The program is killed if what it got is not complete, or abort is closed.
	done func(cutOff bool, abort <-chan struct{}) error
}

// outError is an error of ends.out, in contrast to one of the call.
type outError struct{ err error }

func (o *outError) Error() string { return o.err.Error() }
func (o *outError) Unwrap() error { return o.err }

type outWriter struct{ w io.Writer }

func (o outWriter) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		err = &outError{err}
	}
	return n, err
}

// standard joins stdin and stdout.
func standard(std stdio.Streams) (*ends, error) {
	in, stop, err := stdio.NewCancelReader(std.In)
	if err != nil {
		return nil, err
	}
	return &ends{
		in: in, out: outWriter{std.Out}, stop: stop,
		full: func() error { return nil }, // the end of the process closes it
		done: func(bool, <-chan struct{}) error { return nil },
	}, nil
}

// IgnoreClosed makes a write to a stdout that nobody reads an error in
// place of the end of the process, so that the call is hung up.
func IgnoreClosed() (restore func()) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGPIPE)
	return func() { signal.Stop(ignored) }
}

// program joins a program, which gets the name of the peer.
func program(command, name string, stderr io.Writer) (*ends, error) {
	cmd := shell(command)
	cmd.Env = append(os.Environ(), "PARLEY_PEER="+name)
	cmd.Stderr = stderr
	cmd.WaitDelay = time.Second // for a stderr that its children keep open
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("failed to make a pipe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("failed to make a pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, exit.Errorf(exit.Device, "--exec: %w", err)
	}
	return &ends{
		in: out, out: &untilClosed{w: in}, stop: func() { _ = out.Close() },
		full: in.Close,
		done: func(cutOff bool, abort <-chan struct{}) error {
			if cutOff { // before it takes the end of its input for a good one
				killGroup(cmd)
			}
			_ = in.Close()
			ended := make(chan struct{})
			defer close(ended)
			go func() {
				select {
				case <-ended:
				case <-abort:
					killGroup(cmd)
				}
			}()
			err := cmd.Wait()
			var status *exec.ExitError
			if errors.As(err, &status) && status.Exited() {
				return exit.Errorf(exit.Failure, "--exec: the command ended with %s", status)
			}
			return nil
		},
	}, nil
}

// untilClosed drops what a program does not want: it may have read enough, and
// still have something to say.
type untilClosed struct {
	w      io.Writer
	closed bool
}

func (u *untilClosed) Write(p []byte) (int, error) {
	if !u.closed {
		_, err := u.w.Write(p)
		u.closed = err != nil
	}
	return len(p), nil
}

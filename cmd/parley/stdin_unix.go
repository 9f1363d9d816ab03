//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// stoppable is a file whose reader can be stopped while nothing comes: a
// terminal, or a pipe that somebody keeps open. Deadlines would do it on files
// that do not block, but whether stdin does is shared with who gave it to us.
type stoppable struct {
	f          *os.File
	wake, stop *os.File // a pipe
}

// newStoppable makes a reader of r, and what stops it, to be called once.
func newStoppable(r io.Reader) (io.Reader, func(), error) {
	f, ok := r.(*os.File)
	if !ok {
		stoppable, stop := newAbandoned(r)
		return stoppable, stop, nil
	}
	wake, stop, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("failed to make a pipe: %w", err)
	}
	s := &stoppable{f, wake, stop}
	return s, func() { _ = stop.Close() }, nil
}

// Read implements io.Reader. After an error there must be no more calls.
func (s *stoppable) Read(p []byte) (int, error) {
	fds := []unix.PollFd{{Fd: int32(s.f.Fd()), Events: unix.POLLIN}, {Fd: int32(s.wake.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			_ = s.wake.Close()
			return 0, fmt.Errorf("failed to wait for input: %w", err)
		case fds[1].Revents != 0:
			_ = s.wake.Close()
			return 0, io.EOF
		}
		n, err := s.f.Read(p)
		if err != nil {
			_ = s.wake.Close()
		}
		return n, err
	}
}

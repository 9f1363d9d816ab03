//go:build unix

package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pollReader is a reader of a file that can be stopped while a read blocks: of a terminal, or of a
// pipe without data. It uses poll(2), which takes regular files and /dev/null too, where epoll
// returns EPERM. A deadline would need O_NONBLOCK, which is shared with the process that opened
// standard input.
type pollReader struct {
	f          *os.File
	wake, stop *os.File // a pipe
}

// NewCancelReader returns a reader of r, and a function that makes its reads return io.EOF. That
// function must be called once.
func NewCancelReader(r io.Reader) (io.Reader, func(), error) {
	f, ok := r.(*os.File)
	if !ok {
		reader, stop := newAbandoningReader(r)
		return reader, stop, nil
	}
	wake, stop, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("failed to make a pipe: %w", err)
	}
	return &pollReader{f, wake, stop}, func() { _ = stop.Close() }, nil
}

// Read implements io.Reader. It must not be called again after an error.
func (p *pollReader) Read(b []byte) (int, error) {
	fds := []unix.PollFd{{Fd: int32(p.f.Fd()), Events: unix.POLLIN}, {Fd: int32(p.wake.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			_ = p.wake.Close()
			return 0, fmt.Errorf("failed to wait for input: %w", err)
		case fds[1].Revents != 0:
			_ = p.wake.Close()
			return 0, io.EOF
		}
		n, err := p.f.Read(b)
		if err != nil {
			_ = p.wake.Close()
		}
		return n, err
	}
}

package cli

import (
	"context"
	"errors"
	"io"
	"net"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
)

// closers are resources that are closed together.
type closers struct{ all []io.Closer }

func (s *closers) close() error {
	var err error
	for _, c := range s.all {
		err = errors.Join(err, c.Close())
	}
	return err
}

// listen opens TCP listeners for a flag.
func (s *closers) listen(ctx context.Context, flag string, addresses ...string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, exit.Errorf(exit.Failure, "failed to listen on %s: %w; is another server running there? %s takes another address",
				sanitize.Text(address), err, flag)
		}
		s.all = append(s.all, l)
		listeners = append(listeners, l)
	}
	return listeners, nil
}

package cli

import (
	"context"
	"errors"
	"io"
	"net"

	"parley/cmd/parley/internal/admin"
	"parley/cmd/parley/internal/exit"
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
			return nil, &exit.Error{Code: exit.Failure, Err: admin.ListenError(flag, address, err)}
		}
		s.all = append(s.all, l)
		listeners = append(listeners, l)
	}
	return listeners, nil
}

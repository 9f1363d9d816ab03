package main

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

// urls are where a listener's page and signaling are found from this machine.
func (srv *parleyServer) urls(a net.Addr) (page, signaling string) {
	if srv.secure != nil {
		at := reachable(a)
		if srv.secure.name != "" {
			if _, port, err := net.SplitHostPort(at); err == nil {
				at = hostPort(srv.secure.name, port, "443")
			}
		}
		return "https://" + at + "/", "wss://" + at
	}
	return pageURL(a), signalingURL(a)
}

// hostPort leaves out the port of the scheme.
func hostPort(host, port, usual string) string {
	if port == usual {
		return host
	}
	return net.JoinHostPort(host, port)
}

func pageURL(a net.Addr) string { return "http://" + reachable(a) + "/" }

func signalingURL(a net.Addr) string { return "ws://" + reachable(a) }

// reachable is an address of this machine that a listener can be reached at.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

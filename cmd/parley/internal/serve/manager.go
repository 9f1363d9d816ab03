package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"parley/cmd/parley/internal/exit"
	"parley/signal/server"
)

// Sockets are listeners that the service manager opened, by the option that they stand for:
// "listen", "admin" or "acme-http".
type Sockets map[string][]net.Listener

// PassedSockets returns the sockets that systemd passed to this process (sd_listen_fds(3)).
// Sockets that are named admin or acme-http (FileDescriptorName=) are for these options, all
// others for listen. It can be called once.
func PassedSockets() (Sockets, error) {
	passed := Sockets{}
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		if _, isTCP := l.(*net.TCPListener); !isTCP {
			return nil, exit.Usagef("the socket %q of systemd is not a TCP socket: want ListenStream=PORT or ListenStream=ADDRESS:PORT", f.Name())
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, exit.Errorf(exit.Failure, "the socket %q of systemd: %w", f.Name(), err)
		}
		option := "listen"
		if name := f.Name(); name == "admin" || name == "acme-http" {
			option = name
		}
		passed[option] = append(passed[option], l)
	}
	return passed, nil
}

// take returns a passed socket of an option and removes it, or nil.
func (s Sockets) take(option string) net.Listener {
	option = strings.TrimPrefix(option, "--")
	if len(s[option]) == 0 {
		return nil
	}
	l := s[option][0]
	s[option] = s[option][1:]
	return l
}

// checkTaken returns an error if no option has taken a passed socket.
func (s Sockets) checkTaken() error {
	for option, rest := range s {
		if len(rest) > 0 {
			return exit.Usagef("the socket %s of systemd is of use with another option only, or there is more than one: %s", option, rest[0].Addr())
		}
	}
	return nil
}

// addresses returns the addresses of the passed sockets of an option.
func (s Sockets) addresses(option string) (all []string) {
	for _, l := range s[option] {
		all = append(all, l.Addr().String())
	}
	return all
}

// notify sends a state to the service manager, if one waits for it (sd_notify(3)).
func (s *service) notify(format string, a ...any) {
	if _, err := daemon.SdNotify(false, fmt.Sprintf(format, a...)); err != nil {
		s.Logger.Warn("the service manager was not notified", slog.String("error", err.Error()))
	}
}

// notifyStopping reports that the service ends within a time.
func (s *service) notifyStopping(within time.Duration) {
	s.notify("STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%d", within.Microseconds())
}

// watchdog notifies the service manager at half the interval in which it wants to be notified,
// until ctx is done. It takes the locks of the signaling server before that, so that a deadlock
// ends the notifications.
func (s *service) watchdog(ctx context.Context, signaling *server.Server) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return err
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			state := signaling.Stats()
			s.notify("WATCHDOG=1\nSTATUS=%d connections, %d calls", state.Connections, state.Calls)
		}
	}
}

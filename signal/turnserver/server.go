package turnserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// Server is a STUN and TURN server. NewServer makes it, Run serves.
type Server struct {
	opts      Options
	log       *slog.Logger
	filter    *peerFilter
	allocator *allocator
	counters  counters
}

// NewServer returns a server that is not running yet. It reports invalid options.
func NewServer(options Options) (*Server, error) {
	opts, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, log: opts.Logger, filter: newPeerFilter(opts.AllowedPeers, opts.Addresses)}
	s.allocator = newAllocator(&s.opts, s.filter, &s.counters)
	return s, nil
}

// Stats returns the current counters.
func (s *Server) Stats() Stats { return s.counters.snapshot() }

// Run serves UDP on conns, and TCP on listeners (TLS too, with Options.TLS), until ctx ends. Then it
// closes the sockets and all allocations, waits for its goroutines, and returns nil. It may be
// called once.
func (s *Server) Run(ctx context.Context, conns []net.PacketConn, listeners []net.Listener) error {
	if len(conns)+len(listeners) == 0 {
		return errors.New("TURN server has no socket: want at least one")
	}
	config := turn.ServerConfig{
		LoggerFactory: pionLogger{s.log},
		Realm:         s.opts.Realm,
		AuthHandler:   s.authenticate,
		QuotaHandler:  func(user, _ string, _ net.Addr) bool { return s.checkQuota(user) },
		EventHandler:  s.events(),
		// A client that requests no family gets IPv4 (RFC 8656 section 7.2). If this server has
		// no IPv4 address it gets the family of its own address.
		StrictAddressFamily: slices.ContainsFunc(s.opts.Addresses, func(a Address) bool { return a.Bind.Is4() }),
	}
	for _, c := range conns {
		config.PacketConnConfigs = append(config.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn: packetConn{c}, RelayAddressGenerator: s.allocator, PermissionHandler: s.checkPeer,
		})
	}
	var streams []*streamListener
	for _, l := range listeners {
		sl := newStreamListener(l, &s.opts, &s.counters)
		streams = append(streams, sl)
		config.ListenerConfigs = append(config.ListenerConfigs, turn.ListenerConfig{
			Listener: sl, RelayAddressGenerator: s.allocator, PermissionHandler: s.checkPeer,
		})
	}
	server, err := turn.NewServer(config)
	if err == nil {
		<-ctx.Done()
		_ = server.Close() // fails if a socket was closed before
	}
	for _, sl := range streams {
		_ = sl.Close()
		sl.wait()
	}
	s.allocator.close()
	return err
}

// Refusals are logged at debug level and counted: strangers could fill a log with them.

// authenticate returns the key of a user name, for pion/turn to check the request with.
func (s *Server) authenticate(request *turn.RequestAttributes) (user string, key []byte, ok bool) {
	user, password, err := s.opts.Credentials.check(request.Username, request.Method == stun.MethodAllocate)
	if err != nil {
		s.refuse(ReasonCredential, request.SrcAddr, err.Error())
		return "", nil, false
	}
	return user, turn.GenerateAuthKey(request.Username, request.Realm, password), true
}

// checkQuota reports whether a user may have another allocation.
func (s *Server) checkQuota(user string) bool {
	if s.allocator.withinQuota(user) {
		return true
	}
	s.counters.addRefusal(ReasonQuota)
	s.log.Debug("TURN request refused", slog.String("reason", errUserQuota.Error()))
	return false
}

// checkPeer reports whether a client may send to a peer's address.
func (s *Server) checkPeer(client net.Addr, peer net.IP) bool {
	if s.filter.check(addrFromIP(peer)) != denied {
		return true
	}
	s.refuse(ReasonPeer, client, "peer address not allowed", slog.String("peer", peer.String()))
	return false
}

func (s *Server) refuse(r Reason, client net.Addr, reason string, attrs ...any) {
	s.counters.addRefusal(r)
	attrs = append(attrs, slog.String("client", client.String()), slog.String("reason", reason))
	s.log.Debug("TURN request refused", attrs...)
}

func (s *Server) events() turn.EventHandler {
	return turn.EventHandler{
		OnAuth: func(client, _ net.Addr, _, _, _, method string, ok bool) {
			if !ok {
				s.refuse(ReasonCredential, client, "wrong password", slog.String("method", method))
			}
		},
		OnAllocationCreated: func(client, _ net.Addr, _, _, _ string, relayed net.Addr, _ int) {
			s.log.Debug("TURN allocation opened", slog.String("client", client.String()), slog.String("relayed", relayed.String()))
		},
		OnAllocationDeleted: func(client, _ net.Addr, _, _, _ string) {
			s.log.Debug("TURN allocation closed", slog.String("client", client.String()))
		},
	}
}

// pionLogger writes the log of pion/turn at debug level: every stranger's packet can make pion/turn
// report an error.
type pionLogger struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l pionLogger) NewLogger(string) logging.LeveledLogger { return l }

func (l pionLogger) debugf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pion/turn: " + fmt.Sprintf(format, args...))
	}
}

func (pionLogger) Trace(string)                {}
func (pionLogger) Tracef(string, ...any)       {}
func (pionLogger) Debug(string)                {} // one for each packet
func (pionLogger) Debugf(string, ...any)       {}
func (l pionLogger) Info(m string)             { l.debugf("%s", m) }
func (l pionLogger) Infof(f string, a ...any)  { l.debugf(f, a...) }
func (l pionLogger) Warn(m string)             { l.debugf("%s", m) }
func (l pionLogger) Warnf(f string, a ...any)  { l.debugf(f, a...) }
func (l pionLogger) Error(m string)            { l.debugf("%s", m) }
func (l pionLogger) Errorf(f string, a ...any) { l.debugf(f, a...) }

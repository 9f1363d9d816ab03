package turnserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"

	"parley/signal/internal/ratelimit"
)

// Server is a STUN and TURN server. NewServer makes it, Run serves.
type Server struct {
	opts      Options
	log       *slog.Logger
	filter    *peerFilter
	allocator *allocator
	streams   *streamTable
	requests  *ratelimit.HashedBuckets
	began     time.Time
	counters  counters
}

// NewServer returns a server that is not running yet. It reports invalid options.
func NewServer(options Options) (*Server, error) {
	opts, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, log: opts.Logger, began: time.Now(), filter: newPeerFilter(opts.AllowedPeers, opts.Addresses)}
	s.allocator = newAllocator(&s.opts, s.filter, &s.counters)
	s.streams = newStreamTable(&s.opts, &s.counters)
	s.requests = newRequestBuckets(opts.RequestRate)
	return s, nil
}

// Stats returns the current counters.
func (s *Server) Stats() Stats { return s.counters.snapshot() }

// Run serves UDP on conns, and TCP on listeners (TLS too, with Options.TLS), until ctx ends. Then
// it closes the sockets and all allocations, waits for its goroutines, and returns nil. It may be
// called once.
func (s *Server) Run(ctx context.Context, conns []net.PacketConn, listeners []net.Listener) error {
	if len(conns)+len(listeners) == 0 {
		return errors.New("TURN server has no socket: want at least one")
	}
	var servers []*turn.Server
	var streams []*streamListener
	serve := func(config turn.ServerConfig) error {
		server, err := turn.NewServer(config)
		if err == nil {
			servers = append(servers, server)
		}
		return err
	}
	// Each socket has a server of pion/turn, so that its events belong to the clients of the
	// socket.
	var err error
	for _, c := range conns {
		clients := newClientTable()
		config := s.config(clients)
		config.PacketConnConfigs = []turn.PacketConnConfig{{
			PacketConn:            packetConn{PacketConn: c, server: s, clients: clients},
			RelayAddressGenerator: s.allocator, PermissionHandler: s.permissionHandler(clients),
		}}
		err = errors.Join(err, serve(config))
	}
	for _, l := range listeners {
		clients := newClientTable()
		sl := newStreamListener(l, s, clients)
		streams = append(streams, sl)
		config := s.config(clients)
		config.ListenerConfigs = []turn.ListenerConfig{{
			Listener: sl, RelayAddressGenerator: s.allocator, PermissionHandler: s.permissionHandler(clients),
		}}
		err = errors.Join(err, serve(config))
	}
	if err == nil {
		<-ctx.Done()
	}
	for _, server := range servers {
		_ = server.Close() // fails if a socket was closed before
	}
	for _, sl := range streams {
		_ = sl.Close()
		sl.wait()
	}
	s.allocator.close()
	return err
}

// config returns the configuration for the clients of one socket.
func (s *Server) config(clients *clientTable) turn.ServerConfig {
	return turn.ServerConfig{
		LoggerFactory: pionLogger{s.log},
		Realm:         s.opts.Realm,
		AuthHandler:   s.authenticate,
		QuotaHandler:  s.checkQuota,
		EventHandler:  s.events(clients),
		// A client that requests no family gets IPv4 (RFC 8656 section 7.2). If this server has
		// no IPv4 address it gets the family of its own address.
		StrictAddressFamily: slices.ContainsFunc(s.opts.Addresses, func(a Address) bool { return a.Bind.Is4() }),
	}
}

// authenticate returns the key of a user name, for pion/turn to check the request with. The user ID
// that it returns also names the address of the client, which pion/turn does not pass to the
// allocator.
func (s *Server) authenticate(request *turn.RequestAttributes) (userID string, key []byte, ok bool) {
	user, password, err := s.opts.Credentials.check(request.Username, request.Method == stun.MethodAllocate)
	if err != nil {
		s.refuse(ReasonCredential, request.SrcAddr, err.Error())
		return "", nil, false
	}
	o := owner{user, ratelimit.ClientPrefix(addrPortOf(request.SrcAddr).Addr())}
	return o.userID(), turn.GenerateAuthKey(request.Username, request.Realm, password), true
}

// takeRequest reports whether a client without an allocation may make a request now.
func (s *Server) takeRequest(client netip.Addr) bool {
	if s.requests.Take(client, int64(time.Since(s.began))) {
		return true
	}
	s.counters.addRefusal(ReasonRate)
	return false
}

// checkQuota reports whether the owner of a user ID may have another allocation. If not the client
// gets 486 (Allocation Quota Reached).
func (s *Server) checkQuota(userID, _ string, client net.Addr) bool {
	reason, err := s.allocator.checkQuota(parseOwner(userID))
	if err != nil {
		s.refuse(reason, client, err.Error())
	}
	return err == nil
}

// permissionHandler returns the handler that decides whether a client may send to a peer.
func (s *Server) permissionHandler(clients *clientTable) turn.PermissionHandler {
	return func(client net.Addr, peerIP net.IP) bool {
		peer := addrFromIP(peerIP)
		reason, text := ReasonPeer, "peer address not allowed"
		if s.filter.check(peer) != denied {
			if clients.mayAdd(addrPortOf(client), peer) {
				return true
			}
			reason, text = ReasonQuota, "allocation has too many permissions or channels"
		}
		s.refuse(reason, client, text, slog.String("peer", peerIP.String()))
		return false
	}
}

// refuse counts a refusal and logs it at debug level: strangers could fill a log with refusals.
func (s *Server) refuse(r Reason, client net.Addr, reason string, attrs ...any) {
	s.counters.addRefusal(r)
	attrs = append(attrs, slog.String("client", client.String()), slog.String("reason", reason))
	s.log.Debug("TURN request refused", attrs...)
}

// events returns the handlers of events of one socket.
func (s *Server) events(clients *clientTable) turn.EventHandler {
	return turn.EventHandler{
		OnAuth: func(client, _ net.Addr, _, _, _, method string, ok bool) {
			if !ok {
				s.refuse(ReasonCredential, client, "wrong password", slog.String("method", method))
			}
		},
		OnAllocationCreated: func(client, _ net.Addr, _, _, _ string, relayed net.Addr, _ int) {
			clients.addAllocation(addrPortOf(client), 1)
			s.log.Debug("TURN allocation opened", slog.String("client", client.String()), slog.String("relayed", relayed.String()))
		},
		OnAllocationDeleted: func(client, _ net.Addr, _, _, _ string) {
			clients.addAllocation(addrPortOf(client), -1)
			s.log.Debug("TURN allocation closed", slog.String("client", client.String()))
		},
		OnPermissionCreated: func(client, _ net.Addr, _, _, _ string, _ net.Addr, peer net.IP) {
			clients.addPermission(addrPortOf(client), addrFromIP(peer), 1)
		},
		OnPermissionDeleted: func(client, _ net.Addr, _, _, _ string, _ net.Addr, peer net.IP) {
			clients.addPermission(addrPortOf(client), addrFromIP(peer), -1)
		},
		OnChannelCreated: func(client, _ net.Addr, _, _, _ string, _, _ net.Addr, _ uint16) {
			clients.addChannel(addrPortOf(client), 1)
		},
		OnChannelDeleted: func(client, _ net.Addr, _, _, _ string, _, _ net.Addr, _ uint16) {
			clients.addChannel(addrPortOf(client), -1)
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

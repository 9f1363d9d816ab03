package turnserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// Server is a STUN and TURN server. Make it with NewServer and serve with Run.
type Server struct {
	opts  Options
	log   *slog.Logger
	peers *peers
	ports *ports
	count counters
}

// NewServer returns a server that does nothing until Run. An error says what is wrong with the options.
func NewServer(options Options) (*Server, error) {
	opts, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, log: opts.Logger, peers: newPeers(opts.Allow, opts.Addresses)}
	s.ports = newPorts(&s.opts, s.peers, &s.count)
	return s, nil
}

// Stats returns what has happened so far.
func (s *Server) Stats() Stats { return s.count.snapshot() }

// Run serves UDP on packets, and TCP (TLS too, with Options.TLS) on listeners until ctx ends. Then it closes the sockets and all
// allocations, waits for whoever used them, and returns nil. A server runs once.
func (s *Server) Run(ctx context.Context, packets []net.PacketConn, listeners []net.Listener) error {
	if len(packets)+len(listeners) == 0 {
		return errors.New("the relay has nothing to listen on: give at least one socket")
	}
	config := turn.ServerConfig{
		LoggerFactory: libraryLog{s.log},
		Realm:         s.opts.Realm,
		AuthHandler:   s.authenticate,
		QuotaHandler:  func(user, _ string, _ net.Addr) bool { return s.hasRoom(user) },
		EventHandler:  s.events(),
		// Who names no family gets a relay of IPv4 (RFC 8656 §7.2), unless there is none: that of how it came here.
		StrictAddressFamily: slices.ContainsFunc(s.opts.Addresses, func(a Address) bool { return a.Bind.Is4() }),
	}
	for _, p := range packets {
		config.PacketConnConfigs = append(config.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn: datagrams{p}, RelayAddressGenerator: s.ports, PermissionHandler: s.permit,
		})
	}
	var accepting []*streams
	for _, l := range listeners {
		a := newStreams(l, &s.opts, &s.count)
		accepting = append(accepting, a)
		config.ListenerConfigs = append(config.ListenerConfigs, turn.ListenerConfig{
			Listener: a, RelayAddressGenerator: s.ports, PermissionHandler: s.permit,
		})
	}
	server, err := turn.NewServer(config)
	if err == nil {
		<-ctx.Done()
		_ = server.Close() // says only that a socket was closed before
	}
	for _, a := range accepting {
		_ = a.Close()
		a.await()
	}
	s.ports.shut()
	return err
}

// What is refused is logged as detail, and counted: strangers could fill a log with it.

// authenticate finds the key of a user name, for pion/turn to check the request with.
func (s *Server) authenticate(request *turn.RequestAttributes) (user string, key []byte, ok bool) {
	user, password, err := s.opts.Credentials.check(request.Username, request.Method == stun.MethodAllocate)
	if err != nil {
		s.count.refused(ReasonCredential)
		s.log.Debug("relay refused", slog.String("client", request.SrcAddr.String()), slog.String("reason", err.Error()))
		return "", nil, false
	}
	return user, turn.GenerateAuthKey(request.Username, request.Realm, password), true
}

func (s *Server) hasRoom(user string) bool {
	if s.ports.room(user) {
		return true
	}
	s.count.refused(ReasonQuota)
	s.log.Debug("relay refused", slog.String("reason", errQuota.Error()))
	return false
}

// permit decides if a client may send to a peer's address.
func (s *Server) permit(client net.Addr, peer net.IP) bool {
	if s.peers.judge(addrOf(peer)) != refused {
		return true
	}
	s.count.refused(ReasonPeer)
	s.log.Debug("relay refused", slog.String("client", client.String()), slog.String("peer", peer.String()),
		slog.String("reason", "peers at this address may not be reached"))
	return false
}

func (s *Server) events() turn.EventHandler {
	return turn.EventHandler{
		OnAuth: func(client, _ net.Addr, _, _, _, method string, ok bool) {
			if !ok {
				s.count.refused(ReasonCredential)
				s.log.Debug("relay refused", slog.String("client", client.String()), slog.String("method", method),
					slog.String("reason", "the password is wrong"))
			}
		},
		OnAllocationCreated: func(client, _ net.Addr, _, _, _ string, relay net.Addr, _ int) {
			s.log.Debug("relay opened", slog.String("client", client.String()), slog.String("relay", relay.String()))
		},
		OnAllocationDeleted: func(client, _ net.Addr, _, _, _ string) {
			s.log.Debug("relay closed", slog.String("client", client.String()))
		},
	}
}

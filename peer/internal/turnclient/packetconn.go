package turnclient

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/stun/v4"

	"parley/peer/internal/netaddr"
)

// packetConn is a socket to a TURN server that completes what pion/turn leaves out of the
// allocation:
//
//   - It requests an IPv4 relay address, as browsers do: it reaches most peers, also from an
//     IPv6-only host. If the server has none (error 440, RFC 8656 section 7.2), it requests an IPv6
//     one. pion/turn requests one of the socket's family and gives up on an error.
//   - It follows a server to its alternate (error 300, RFC 8489 section 10).
//   - It ends an allocation that is waiting for a response when the context is done. pion/turn
//     waits for 8 s.
type packetConn struct {
	net.PacketConn
	ctx       context.Context
	stop      func() bool // of the context's callback
	passwords func(user string) []string
	// redirect makes PacketConn send to an alternate server what is addressed to server.
	redirect func(server net.Addr, to netip.AddrPort, domain string) error

	mu       sync.Mutex // guards the fields below
	server   net.Addr
	allocate []byte     // latest Allocate request as the client wrote it
	ipv6     bool       // an IPv6 relay address is requested
	realm    stun.Realm // of the alternate server; nil for the request's
	nonce    stun.Nonce // likewise

	visited []netip.AddrPort // the servers, if there are alternate ones; belongs to the reader
}

// newPacketConn returns a UDP socket to a TURN server.
func newPacketConn(ctx context.Context, conn net.PacketConn, passwords func(string) []string) *packetConn {
	r := &redirectedConn{PacketConn: conn}
	s := &packetConn{PacketConn: r, passwords: passwords, redirect: r.redirect}
	s.abortWith(ctx)
	return s
}

// abortWith ends a pending allocation once ctx is done.
func (s *packetConn) abortWith(ctx context.Context) {
	s.ctx = ctx
	s.stop = context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.allocate != nil {
			_ = s.SetReadDeadline(time.Now())
		}
	})
}

// Close implements net.PacketConn.
func (s *packetConn) Close() error {
	s.stop()
	return s.PacketConn.Close()
}

// LocalAddr implements net.PacketConn. Pion requests a relay address of its family.
func (s *packetConn) LocalAddr() net.Addr {
	switch a := s.PacketConn.LocalAddr().(type) {
	case *net.UDPAddr:
		return &net.UDPAddr{IP: net.IPv4zero, Port: a.Port}
	case *net.TCPAddr:
		return &net.TCPAddr{IP: net.IPv4zero, Port: a.Port}
	default:
		return a
	}
}

// WriteTo implements net.PacketConn.
func (s *packetConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if !isAllocate(p, stun.ClassRequest) {
		return s.PacketConn.WriteTo(p, to)
	}
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		return 0, net.ErrClosed
	}
	s.server = to
	if !sameTransaction(p, s.allocate) {
		s.realm, s.nonce = nil, nil // p has those of the latest response
	}
	s.allocate = slices.Clone(p)
	p = s.buildRequest()
	s.mu.Unlock()
	_, err := s.PacketConn.WriteTo(p, to)
	return len(p), err
}

// ReadFrom implements net.PacketConn.
func (s *packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.PacketConn.ReadFrom(p)
		switch {
		case err != nil && s.ctx.Err() != nil:
			return s.abort(p, err)
		case err != nil:
			return n, from, err
		case isAllocate(p[:n], stun.ClassSuccessResponse):
			return s.handleSuccess(p, n), from, nil
		case !isAllocate(p[:n], stun.ClassErrorResponse):
			return n, from, nil
		}
		request, ok := s.handleError(p[:n], from)
		if !ok {
			return n, from, nil
		}
		if len(request) == 0 {
			continue
		}
		if _, err := s.PacketConn.WriteTo(request, from); err != nil {
			return n, from, nil // the client handles the error response
		}
	}
}

// abort makes the client end the Allocate transaction, if there is one.
func (s *packetConn) abort(p []byte, err error) (int, net.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.allocate == nil {
		return 0, nil, err
	}
	request := &stun.Message{Raw: s.allocate}
	s.allocate = nil
	if request.Decode() != nil {
		return 0, nil, err
	}
	m, err := stun.Build(stun.NewTransactionIDSetter(request.TransactionID), stun.NewType(stun.MethodAllocate, stun.ClassErrorResponse),
		&stun.ErrorCodeAttribute{Code: stun.CodeServerError, Reason: []byte("connection is closed")})
	if err != nil {
		return 0, nil, err
	}
	return copy(p, m.Raw), s.server, nil
}

// handleSuccess ends the Allocate transaction. It removes IPv4 relay addresses from the response to
// a request for IPv6 and returns its length: coturn 4.6.1 puts 0.0.0.0:0 before the requested
// address.
func (s *packetConn) handleSuccess(p []byte, n int) int {
	s.mu.Lock()
	s.allocate = nil
	ipv6 := s.ipv6
	s.mu.Unlock()
	m := &stun.Message{Raw: slices.Clone(p[:n])}
	if !ipv6 || m.Decode() != nil {
		return n
	}
	left := withoutIntegrity(m, func(a stun.RawAttribute) bool {
		return a.Type == stun.AttrXORRelayedAddress && (len(a.Value) < 2 || a.Value[1] != familyIPv6)
	})
	return copy(p, left.Raw)
}

// handleError handles an Allocate error response of a server. It returns the request to send
// instead of passing the response to the client, empty for none, and false if the client handles
// the response.
func (s *packetConn) handleError(p []byte, server net.Addr) (request []byte, handled bool) {
	m := &stun.Message{Raw: slices.Clone(p)}
	var code stun.ErrorCodeAttribute
	if m.Decode() != nil || code.GetFrom(m) != nil || !s.pending(p) {
		return nil, false
	}
	if code.Code == stun.CodeTryAlternate && s.followAlternate(m, server) != nil {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch code.Code {
	case stun.CodeTryAlternate:
		s.ipv6, s.realm, s.nonce = false, nil, nil
	case stun.CodeAddrFamilyNotSupported:
		if s.ipv6 {
			return nil, true // response to a retransmission
		}
		s.ipv6 = true
	case stun.CodeUnauthorized, stun.CodeStaleNonce:
		var realm stun.Realm
		var nonce stun.Nonce
		if len(s.visited) == 0 || s.nonce != nil || !hasIntegrity(s.allocate) || realm.GetFrom(m) != nil || nonce.GetFrom(m) != nil {
			return nil, false
		}
		s.realm, s.nonce = realm, nonce // the first server authenticated the client before it redirected it
	default:
		return nil, false
	}
	return s.buildRequest(), true
}

// pending reports whether p belongs to the Allocate transaction that waits for a response.
func (s *packetConn) pending(p []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sameTransaction(p, s.allocate)
}

// maxRedirects is how many alternate servers are followed.
const maxRedirects = 4

// followAlternate directs the allocation to the alternate server that an error response names. Like
// libwebrtc, it follows a server once, to an address of the same family, and to a loopback address
// from a loopback address only.
func (s *packetConn) followAlternate(m *stun.Message, server net.Addr) error {
	var attribute stun.AlternateServer
	if err := attribute.GetFrom(m); err != nil {
		return err
	}
	ip, _ := netip.AddrFromSlice(attribute.IP)
	to := netip.AddrPortFrom(ip.Unmap(), uint16(attribute.Port))
	visited := s.visited
	if len(visited) == 0 {
		visited = []netip.AddrPort{netaddr.AddrPort(server)}
	}
	current := visited[len(visited)-1].Addr()
	switch {
	case to.Port() == 0 || !netaddr.Allowed(ip.String()) || to.Addr().Is4() != current.Is4() || to.Addr().IsLoopback() && !current.IsLoopback():
		return fmt.Errorf("alternate server %s of %s: not followed", to, current)
	case slices.Contains(visited, to) || len(visited) > maxRedirects:
		return fmt.Errorf("alternate server %s of %s: followed %d already", to, current, len(s.visited))
	}
	domain, _ := m.Get(stun.AttrAlternateDomain) // RFC 8489 section 14.16
	if err := s.redirect(server, to, string(domain)); err != nil {
		return err
	}
	s.visited = append(visited, to)
	return nil
}

// buildRequest returns the Allocate request to send for that of the client, which is the same if it
// cannot be parsed or signed. buildRequest is called with mu held.
func (s *packetConn) buildRequest() []byte {
	old := &stun.Message{Raw: slices.Clone(s.allocate)}
	if !s.ipv6 && s.nonce == nil || old.Decode() != nil {
		return s.allocate
	}
	m := withoutIntegrity(old, func(a stun.RawAttribute) bool {
		return a.Type == stun.AttrRequestedAddressFamily && s.ipv6 || (a.Type == stun.AttrRealm || a.Type == stun.AttrNonce) && s.nonce != nil
	})
	var setters []stun.Setter
	if s.ipv6 {
		m.Add(stun.AttrRequestedAddressFamily, []byte{familyIPv6, 0, 0, 0}) // RFC 8656 section 18.8
	}
	if s.nonce != nil {
		setters = append(setters, s.realm, s.nonce)
	}
	var user stun.Username
	var realm stun.Realm
	if user.GetFrom(old) == nil && realm.GetFrom(old) == nil {
		for _, password := range s.passwords(user.String()) {
			if stun.NewLongTermIntegrity(user.String(), realm.String(), password).Check(old) == nil {
				if s.nonce != nil {
					realm = s.realm
				}
				setters = append(setters, stun.NewLongTermIntegrity(user.String(), realm.String(), password))
				break
			}
		}
	}
	for _, s := range append(setters, stun.Fingerprint) {
		if s.AddTo(m) != nil {
			return old.Raw
		}
	}
	return m.Raw
}

// redirectedConn is a UDP socket to a server or its alternate. Its user sees the address of the
// server in place of that of the alternate.
type redirectedConn struct {
	net.PacketConn
	mu                sync.Mutex // guards the fields below
	server, alternate net.Addr   // nil without redirection
}

// redirect directs to an alternate server what is sent to server.
func (c *redirectedConn) redirect(server net.Addr, to netip.AddrPort, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server, c.alternate = server, net.UDPAddrFromAddrPort(to)
	return nil
}

// WriteTo implements net.PacketConn.
func (c *redirectedConn) WriteTo(p []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	if c.alternate != nil && netaddr.AddrPort(to) == netaddr.AddrPort(c.server) {
		to = c.alternate
	}
	c.mu.Unlock()
	return c.PacketConn.WriteTo(p, to)
}

// ReadFrom implements net.PacketConn. It drops what comes from servers that are no longer used.
func (c *redirectedConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(p)
		if err != nil {
			return n, from, err
		}
		c.mu.Lock()
		server, alternate := c.server, c.alternate
		c.mu.Unlock()
		switch {
		case alternate == nil:
			return n, from, nil
		case netaddr.AddrPort(from) == netaddr.AddrPort(alternate):
			return n, server, nil
		}
	}
}

// familyIPv6 is an address family (RFC 8489 section 14.1).
const familyIPv6 = 2

// stunHeader is the length of a STUN header in bytes. Bytes 4 to 19 are the magic cookie and the
// transaction ID (RFC 8489 section 5).
const stunHeader = 20

// isAllocate reports whether p is an Allocate message of a class.
func isAllocate(p []byte, class stun.MessageClass) bool {
	return len(p) >= stunHeader && binary.BigEndian.Uint16(p) == stun.NewType(stun.MethodAllocate, class).Value()
}

// sameTransaction reports whether two messages have the same transaction ID. b may be empty.
func sameTransaction(a, b []byte) bool {
	return len(a) >= stunHeader && len(b) >= stunHeader && string(a[4:stunHeader]) == string(b[4:stunHeader])
}

// hasIntegrity reports whether a message has a MESSAGE-INTEGRITY attribute.
func hasIntegrity(p []byte) bool {
	m := &stun.Message{Raw: slices.Clone(p)}
	return m.Decode() == nil && m.Contains(stun.AttrMessageIntegrity)
}

// withoutIntegrity returns a message without MESSAGE-INTEGRITY, FINGERPRINT and dropped attributes.
func withoutIntegrity(old *stun.Message, drop func(stun.RawAttribute) bool) *stun.Message {
	m := &stun.Message{TransactionID: old.TransactionID, Type: old.Type}
	m.WriteHeader()
	for _, a := range old.Attributes {
		if a.Type != stun.AttrMessageIntegrity && a.Type != stun.AttrFingerprint && !drop(a) {
			m.Add(a.Type, a.Value)
		}
	}
	return m
}

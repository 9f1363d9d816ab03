package peer

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"

	"github.com/pion/stun/v4"
)

// relaySocket is a socket to a TURN server over which an IPv4 relay is asked for,
// as browsers do: it reaches most, also from a host that has IPv6 alone. Only of a
// server that has none (error 440, RFC 8656 §7.2) an IPv6 relay is asked for then.
// pion/turn would ask for one of the family of the socket, and take no for an
// answer.
type relaySocket struct {
	net.PacketConn
	secret func(user string) []string

	mu    sync.Mutex
	asked []byte // the latest request for a relay; guarded by mu
	six   bool   // it is to be an IPv6 relay; guarded by mu
}

func newRelaySocket(conn net.PacketConn, secret func(string) []string) *relaySocket {
	return &relaySocket{PacketConn: conn, secret: secret}
}

// LocalAddr implements net.PacketConn. Pion takes its family for that of the relay.
func (s *relaySocket) LocalAddr() net.Addr {
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
func (s *relaySocket) WriteTo(p []byte, to net.Addr) (int, error) {
	if !isAllocate(p, stun.ClassRequest) {
		return s.PacketConn.WriteTo(p, to)
	}
	s.mu.Lock()
	s.asked = slices.Clone(p)
	six := s.six
	s.mu.Unlock()
	if !six {
		return s.PacketConn.WriteTo(p, to)
	}
	_, err := s.PacketConn.WriteTo(forIPv6(p, s.secret), to)
	return len(p), err
}

// ReadFrom implements net.PacketConn.
func (s *relaySocket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.PacketConn.ReadFrom(p)
		switch {
		case err != nil:
			return n, from, err
		case isAllocate(p[:n], stun.ClassSuccessResponse):
			return s.granted(p, n), from, nil
		case !s.refused(p[:n]):
			return n, from, nil
		}
		s.mu.Lock()
		again, request := !s.six, s.asked
		s.six = true
		s.mu.Unlock()
		if !again {
			continue // this answers a request that was sent twice
		}
		if _, err := s.PacketConn.WriteTo(forIPv6(request, s.secret), from); err != nil {
			return n, from, nil // the refusal is what the client can do something with
		}
	}
}

// granted leaves no IPv4 relay in the answer to the second request, and returns
// its length: coturn 4.6.1 names 0.0.0.0:0 before the relay that was asked for.
func (s *relaySocket) granted(p []byte, n int) int {
	s.mu.Lock()
	six := s.six
	s.mu.Unlock()
	m := &stun.Message{Raw: slices.Clone(p[:n])}
	if !six || m.Decode() != nil {
		return n
	}
	left := unsigned(m, func(a stun.RawAttribute) bool {
		return a.Type == stun.AttrXORRelayedAddress && (len(a.Value) < 2 || a.Value[1] != ipv6)
	})
	return copy(p, left.Raw)
}

// refused tells if p says that the server has no relay of the family that was
// asked for.
func (s *relaySocket) refused(p []byte) bool {
	if !isAllocate(p, stun.ClassErrorResponse) {
		return false
	}
	m := &stun.Message{Raw: slices.Clone(p)}
	var code stun.ErrorCodeAttribute
	if m.Decode() != nil || code.GetFrom(m) != nil || code.Code != stun.CodeAddrFamilyNotSupported {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked) >= stunHeader && string(s.asked[4:stunHeader]) == string(p[4:stunHeader])
}

// ipv6 is the family of an address (RFC 8489 §14.1).
const ipv6 = 2

// stunHeader is the length of a STUN header in bytes; it ends with the cookie and
// the transaction (RFC 8489 §5).
const stunHeader = 20

// isAllocate tells if p is a message about the allocation of a relay.
func isAllocate(p []byte, class stun.MessageClass) bool {
	return len(p) >= stunHeader && binary.BigEndian.Uint16(p) == stun.NewType(stun.MethodAllocate, class).Value()
}

// forIPv6 is a request for a relay as one for an IPv6 relay. What cannot be read
// or signed stays as it is.
func forIPv6(request []byte, secret func(user string) []string) []byte {
	old := &stun.Message{Raw: slices.Clone(request)}
	if old.Decode() != nil {
		return request
	}
	m := unsigned(old, func(a stun.RawAttribute) bool { return a.Type == stun.AttrRequestedAddressFamily })
	m.Add(stun.AttrRequestedAddressFamily, []byte{ipv6, 0, 0, 0}) // RFC 8656 §18.8
	var setters []stun.Setter
	var user stun.Username
	var realm stun.Realm
	if user.GetFrom(old) == nil && realm.GetFrom(old) == nil {
		for _, password := range secret(user.String()) {
			if key := stun.NewLongTermIntegrity(user.String(), realm.String(), password); key.Check(old) == nil {
				setters = append(setters, key)
				break
			}
		}
	}
	for _, s := range append(setters, stun.Fingerprint) {
		if s.AddTo(m) != nil {
			return request
		}
	}
	return m.Raw
}

// unsigned is a message without its signature and some of its attributes.
func unsigned(old *stun.Message, drop func(stun.RawAttribute) bool) *stun.Message {
	m := &stun.Message{TransactionID: old.TransactionID, Type: old.Type}
	m.WriteHeader()
	for _, a := range old.Attributes {
		if a.Type != stun.AttrMessageIntegrity && a.Type != stun.AttrFingerprint && !drop(a) {
			m.Add(a.Type, a.Value)
		}
	}
	return m
}

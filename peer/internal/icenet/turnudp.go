package icenet

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"

	"github.com/pion/stun/v4"
)

// turnPacketConn is a socket to a TURN server that requests an IPv4 relay address, as browsers do:
// it reaches most peers, also from an IPv6-only host. If the server has none (error 440, RFC 8656
// section 7.2), it requests an IPv6 relay address. pion/turn requests one of the socket's family
// and gives up on an error.
type turnPacketConn struct {
	net.PacketConn
	passwords func(user string) []string

	mu       sync.Mutex
	allocate []byte // latest Allocate request; guarded by mu
	ipv6     bool   // an IPv6 relay address is requested; guarded by mu
}

func newTURNPacketConn(conn net.PacketConn, passwords func(string) []string) *turnPacketConn {
	return &turnPacketConn{PacketConn: conn, passwords: passwords}
}

// LocalAddr implements net.PacketConn. Pion requests a relay address of its family.
func (s *turnPacketConn) LocalAddr() net.Addr {
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
func (s *turnPacketConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if !isAllocate(p, stun.ClassRequest) {
		return s.PacketConn.WriteTo(p, to)
	}
	s.mu.Lock()
	s.allocate = slices.Clone(p)
	wantIPv6 := s.ipv6
	s.mu.Unlock()
	if !wantIPv6 {
		return s.PacketConn.WriteTo(p, to)
	}
	_, err := s.PacketConn.WriteTo(forIPv6(p, s.passwords), to)
	return len(p), err
}

// ReadFrom implements net.PacketConn.
func (s *turnPacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
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
		retry, request := !s.ipv6, s.allocate
		s.ipv6 = true
		s.mu.Unlock()
		if !retry {
			continue // response to a retransmission
		}
		if _, err := s.PacketConn.WriteTo(forIPv6(request, s.passwords), from); err != nil {
			return n, from, nil // the client handles the error response
		}
	}
}

// granted removes IPv4 relay addresses from the response to a request for IPv6 and returns its
// length: coturn 4.6.1 puts 0.0.0.0:0 before the requested address.
func (s *turnPacketConn) granted(p []byte, n int) int {
	s.mu.Lock()
	wantIPv6 := s.ipv6
	s.mu.Unlock()
	m := &stun.Message{Raw: slices.Clone(p[:n])}
	if !wantIPv6 || m.Decode() != nil {
		return n
	}
	left := unsigned(m, func(a stun.RawAttribute) bool {
		return a.Type == stun.AttrXORRelayedAddress && (len(a.Value) < 2 || a.Value[1] != familyIPv6)
	})
	return copy(p, left.Raw)
}

// refused reports whether p is the response that the server has no relay address of the requested
// family.
func (s *turnPacketConn) refused(p []byte) bool {
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
	return len(s.allocate) >= stunHeader && string(s.allocate[4:stunHeader]) == string(p[4:stunHeader])
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

// forIPv6 returns an Allocate request as one for an IPv6 relay address. It returns requests that it
// cannot parse or sign unchanged.
func forIPv6(request []byte, passwords func(user string) []string) []byte {
	old := &stun.Message{Raw: slices.Clone(request)}
	if old.Decode() != nil {
		return request
	}
	m := unsigned(old, func(a stun.RawAttribute) bool { return a.Type == stun.AttrRequestedAddressFamily })
	m.Add(stun.AttrRequestedAddressFamily, []byte{familyIPv6, 0, 0, 0}) // RFC 8656 section 18.8
	var setters []stun.Setter
	var user stun.Username
	var realm stun.Realm
	if user.GetFrom(old) == nil && realm.GetFrom(old) == nil {
		for _, password := range passwords(user.String()) {
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

// unsigned returns a message without MESSAGE-INTEGRITY, FINGERPRINT and dropped attributes.
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

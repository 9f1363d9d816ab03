package turnclient

import (
	"net"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// A server without IPv4 relay addresses refuses twice, because the request was retransmitted, and
// gets one request for an IPv6 relay address. The 0.0.0.0:0 beside it in the response is removed.
func TestRequestIPv6Relay(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	local, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	socket := newPacketConn(t.Context(), local, func(string) []string { return []string{"other", "secret"} })
	key := stun.NewLongTermIntegrity("alice", "parley", "secret")
	request := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest),
		stun.NewUsername("alice"), stun.NewRealm("parley"), key, stun.Fingerprint)
	answer := func(class stun.MessageClass, with ...stun.Setter) []byte {
		setters := []stun.Setter{stun.NewTransactionIDSetter(request.TransactionID), stun.NewType(stun.MethodAllocate, class)}
		return stun.MustBuild(append(setters, with...)...).Raw
	}
	relay := func(ip net.IP) stun.Setter { return relayedAt{&stun.XORMappedAddress{IP: ip, Port: 5000}} }
	if _, err := socket.WriteTo(request.Raw, server.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		buffer := make([]byte, 1500)
		_, client, err := server.ReadFrom(buffer)
		for range 2 {
			_, _ = server.WriteTo(answer(stun.ClassErrorResponse, stun.CodeAddrFamilyNotSupported), client)
		}
		n, _, _ := server.ReadFrom(buffer)
		again := &stun.Message{Raw: buffer[:n]}
		if err == nil {
			err = again.Decode()
		}
		if err == nil {
			err = again.Check(key, stun.Fingerprint)
		}
		if family, _ := again.Get(stun.AttrRequestedAddressFamily); len(family) != 4 || family[0] != familyIPv6 {
			t.Errorf("the second request is for family %v", family)
		}
		_, _ = server.WriteTo(answer(stun.ClassSuccessResponse, relay(net.IPv4zero), relay(net.IPv6loopback)), client)
		served <- err
	}()
	_ = local.SetReadDeadline(time.Now().Add(time.Minute))
	buffer := make([]byte, 1500)
	n, _, err := socket.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	granted := &stun.Message{Raw: buffer[:n]}
	var at stun.XORMappedAddress
	if err := granted.Decode(); err != nil || granted.Type.Class != stun.ClassSuccessResponse || at.GetFromAs(granted, stun.AttrXORRelayedAddress) != nil || !at.IP.Equal(net.IPv6loopback) {
		t.Errorf("the client received %v, with a relay at %v (%v)", granted, at, err)
	}
}

// relayedAt adds an address as that of a relay.
type relayedAt struct{ *stun.XORMappedAddress }

func (r relayedAt) AddTo(m *stun.Message) error {
	return r.XORMappedAddress.AddToAs(m, stun.AttrXORRelayedAddress)
}

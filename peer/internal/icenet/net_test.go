package icenet

import (
	"errors"
	"net"
	"testing"

	"github.com/pion/stun/v4"
)

// A closed Net asks no TURN server for anything.
func TestClose(t *testing.T) {
	n, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	conn, err := n.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest))
	server := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
	if _, err := conn.WriteTo(request.Raw, server); err != nil {
		t.Fatal(err)
	}
	n.Close()
	if _, err := conn.WriteTo(request.Raw, server); !errors.Is(err, net.ErrClosed) {
		t.Errorf("an Allocate request after Close: %v", err)
	}
	if c, err := n.ProxyDialer().Dial("tcp4", "127.0.0.1:9"); err == nil {
		_ = c.Close()
		t.Error("a connection after Close")
	}
}

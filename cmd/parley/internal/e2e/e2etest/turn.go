package e2etest

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"parley/signal/turnserver"
)

// StartTURN runs a TURN server of this process over UDP on loopback until the test ends.
func StartTURN(t *testing.T, o turnserver.Options) net.Addr {
	t.Helper()
	o.Addresses = []turnserver.Address{{Bind: netip.MustParseAddr("127.0.0.1")}}
	server, err := turnserver.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, []net.PacketConn{socket}, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return socket.LocalAddr()
}

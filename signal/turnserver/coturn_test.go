//go:build !quick

package turnserver

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"

	"parley/signal/turnserver/coturntest"
)

// coturn accepts our credentials, and refuses what we refuse.
func TestCoturnAcceptsCredentials(t *testing.T) {
	server := coturntest.Start(t, secret)
	at := server.Address.String()
	local := func() net.PacketConn {
		conn, err := net.ListenPacket("udp4", net.JoinHostPort(server.Address.Addr().String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	open := func(name string) net.PacketConn {
		user, password := credentials().Make(name)
		relay, err := client(t, at, local(), user, password).Allocate()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Cleanup(func() { _ = relay.Close() })
		return relay
	}
	passesBothWays(t, open("alice"), open("名前: bob"))

	user, password := credentials().Make("carol")
	stream, err := net.Dial("tcp4", at)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := client(t, at, turn.NewSTUNConn(stream), user, password).Allocate()
	if err != nil {
		t.Fatalf("over TCP: %v", err)
	}
	_ = relay.Close()

	old := Credentials{Secret: secret, Now: func() time.Time { return time.Now().Add(-25 * time.Hour) }}
	for what, c := range map[string]Credentials{"expired": old, "another secret": {Secret: "another"}} {
		user, password := c.Make("alice")
		if _, err := client(t, at, local(), user, password).Allocate(); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s: %v, want 401", what, err)
		}
	}
}

// coturn's client works with our server over every transport: two clients through two allocations.
func TestCoturnClient(t *testing.T) {
	uclient := coturntest.Find(t, "turnutils_uclient")
	config, _ := certificate(t)
	config.MinVersion = tls.VersionTLS10 // the client tries all versions
	r := start(t, Options{TLS: config})
	for name, args := range map[string][]string{"udp": {"-p", portIn(r.udp)}, "tcp": {"-t", "-p", portIn(r.tcp)}, "tls": {"-t", "-S", "-p", portIn(r.tcp)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args = append(args, "-W", secret, "-u", "alice", "-y", "-c", "-n", "5", "-m", "1", "127.0.0.1")
			ctx := t.Context()
			out, err := exec.CommandContext(ctx, uclient, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Total lost packets 0 ") {
				t.Errorf("turnutils_uclient %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
}

func portIn(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// A private peer is refused to coturn's client.
func TestCoturnClientAndPrivatePeer(t *testing.T) {
	uclient := coturntest.Find(t, "turnutils_uclient")
	peer, err := net.ListenPacket("udp4", netip.AddrPortFrom(coturntest.LocalAddress(t), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	r := start(t, Options{})
	host, port, _ := net.SplitHostPort(peer.LocalAddr().String())
	out, _ := exec.CommandContext(t.Context(), uclient, "-W", secret, "-u", "alice", "-c", "-n", "1", "-m", "1", "-p", portIn(r.udp),
		"-e", host, "-r", port, "127.0.0.1").CombinedOutput()
	if r.Stats().Refused[ReasonPeer] == 0 || r.Stats().Sent != 0 {
		t.Errorf("%+v\n%s", r.Stats(), out)
	}
}

package netcheck

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func TestCheckServers(t *testing.T) {
	server := startServer(t)
	for _, url := range []string{"stun:" + server.udp, "turn:" + server.udp, "turn:" + server.tcp + "?transport=tcp"} {
		r := check(withCredentials(url), nil)
		if r.Err != nil {
			t.Errorf("%s: %v", url, r.Err)
			continue
		}
		if r.Mapped != r.Local || !r.Mapped.IsValid() || r.RTT <= 0 {
			t.Errorf("%s: got mapped address %v, local address %v, RTT %v", url, r.Mapped, r.Local, r.RTT)
		}
		if r.TURN != strings.HasPrefix(url, "turn") || r.Relayed.IsValid() != r.TURN {
			t.Errorf("%s: got relayed address %v", url, r.Relayed)
		}
	}
	report := CheckServers(context.Background(), []Server{withCredentials("turn:" + server.udp)}, nil)
	n := report.NAT()
	if n == nil || n.Translated || n.MappingVaries == nil || *n.MappingVaries || n.FiltersPorts == nil || *n.FiltersPorts || n.Hairpinning != nil {
		t.Errorf("without a NAT: %+v", n)
	}
	if report.UDPBlocked() || !report.HasRelay() {
		t.Errorf("UDP blocked: %t, has relay: %t", report.UDPBlocked(), report.HasRelay())
	}
}

func TestErrorsAreExplained(t *testing.T) {
	server, silent := startServer(t), listenLoopback(t)
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	wrong := withCredentials("turn:" + server.udp)
	wrong.Password = "guessed"
	for _, c := range []struct {
		server Server
		want   string
	}{
		{wrong, "credentials rejected"},
		{withCredentials("stun:" + silent.LocalAddr().String()), "no response; the server is down, or a firewall drops UDP to it"},
		{withCredentials("turn:" + closed.Addr().String() + "?transport=tcp"), "connection refused"},
		{withCredentials("turns:" + server.tcp + "?transport=tcp"), "connection closed by the server"},
		{withCredentials("turn:nobody.invalid"), "host not found"},
		{withCredentials("http://example.org"), "invalid URL"},
	} {
		r := check(c.server, &Options{Timeout: 2 * time.Second})
		if r.Err == nil || !strings.Contains(r.Err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.server.URL, r.Err, c.want)
		}
	}
}

// TestRejectedAllocations: a server may reject an allocation before it authenticates the client, as
// coturn does with an alternate server.
func TestRejectedAllocations(t *testing.T) {
	server := netip.MustParseAddrPort(startServer(t).udp)
	alternate := func(to netip.AddrPort) []stun.Setter {
		return []stun.Setter{stun.CodeTryAlternate, &stun.AlternateServer{IP: to.Addr().AsSlice(), Port: int(to.Port())}}
	}
	r := check(withCredentials("turn:"+rejectingServer(t, alternate(server)...)), nil)
	if r.Err != nil || !r.Relayed.IsValid() {
		t.Errorf("a server with an alternate one: %v, relayed address %v", r.Err, r.Relayed)
	}
	loop := listenLoopback(t)
	go reject(loop, alternate(addrPortOf(loop.LocalAddr())))
	for address, want := range map[string]string{
		loop.LocalAddr().String(): "server names an alternate server that cannot be used",
		rejectingServer(t, alternate(netip.MustParseAddrPort("[2001:db8::1]:3478"))...): "server names an alternate server that cannot be used",
		rejectingServer(t, stun.CodeInsufficientCapacity):                               "server has no capacity",
	} {
		if r := check(withCredentials("turn:"+address), nil); r.Err == nil || !strings.Contains(r.Err.Error(), want) {
			t.Errorf("got %v, want %q", r.Err, want)
		}
	}
}

func TestAlternateServersOfLoopback(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	response := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassErrorResponse), stun.CodeTryAlternate,
		&stun.AlternateServer{IP: loopback.AsSlice(), Port: 3478})
	for from, want := range map[string]bool{"127.0.0.1:1": true, "192.0.2.1:1": false} {
		if e := allocateErrorOf(response.Raw, netip.MustParseAddrPort(from)); e == nil || e.alternate.IsValid() != want {
			t.Errorf("from %s: %+v, want it followed: %t", from, e, want)
		}
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	silent := listenLoopback(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan *Report)
	go func() {
		done <- CheckServers(ctx, []Server{{URL: "stun:" + silent.LocalAddr().String()}}, &Options{Timeout: time.Hour, PacketTimeout: time.Hour})
	}()
	if _, _, err := silent.ReadFrom(make([]byte, 1500)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if r := <-done; r.Servers[0].Err == nil {
		t.Errorf("got %+v, want an error", r.Servers[0])
	}
}

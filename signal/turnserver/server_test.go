package turnserver

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"
)

func TestBinding(t *testing.T) {
	r := start(t, Options{})
	conn := socket(t)
	got, err := client(t, r.udp, conn, "", "").SendBindingRequest()
	if err != nil || got.String() != conn.LocalAddr().String() {
		t.Errorf("mapped address %v, %v; want %s", got, err, conn.LocalAddr())
	}
}

// Two clients reach each other's allocations at a private address, over every transport.
func TestAllocationToAllocation(t *testing.T) {
	server, trust := certificate(t)
	r := start(t, Options{TLS: server})
	user, password := credentials().Make("alice")
	for name, dial := range map[string]func() net.PacketConn{
		"udp": func() net.PacketConn { return socket(t) },
		"tcp": func() net.PacketConn { return turn.NewSTUNConn(dialed(t, r.tcp, nil)) },
		"tls": func() net.PacketConn { return turn.NewSTUNConn(dialed(t, r.tcp, trust)) },
	} {
		t.Run(name, func(t *testing.T) {
			at := r.tcp
			if name == "udp" {
				at = r.udp
			}
			a, err := client(t, at, dial(), user, password).Allocate()
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			b := r.allocate(t, "bob")
			passesBothWays(t, a, b)
		})
	}
}

func dialed(t *testing.T, address string, config *tls.Config) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if config == nil {
		return c
	}
	config = config.Clone()
	config.ServerName = "127.0.0.1"
	secured := tls.Client(c, config)
	if err := secured.Handshake(); err != nil {
		t.Fatal(err)
	}
	return secured
}

// passesBothWays sends a first packet from b to a, which creates the permission of a at b.
func passesBothWays(t *testing.T, a, b net.PacketConn) {
	t.Helper()
	if _, err := b.WriteTo([]byte("open"), a.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	passes(t, a, b, b.LocalAddr(), a.LocalAddr().String())
	drain(b)
	passes(t, b, a, a.LocalAddr(), b.LocalAddr().String())
}

// drain discards the packets that have arrived.
func drain(c net.PacketConn) {
	buf := make([]byte, 2000)
	for {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, _, err := c.ReadFrom(buf); err != nil {
			return
		}
	}
}

// Behind a one-to-one NAT, allocations reach each other at the address that only the NAT has.
func TestPublicAddress(t *testing.T) {
	public := netip.MustParseAddr("198.51.100.7")
	for _, bind := range []string{"127.0.0.1", "0.0.0.0"} {
		t.Run(bind, func(t *testing.T) {
			r := start(t, Options{Addresses: []Address{{Bind: netip.MustParseAddr(bind), Public: public}}})
			a, b := r.allocate(t, "alice"), r.allocate(t, "bob")
			if got := a.LocalAddr().(*net.UDPAddr).AddrPort().Addr(); got.Unmap() != public {
				t.Errorf("the relay is at %s, want %s", got, public)
			}
			passesBothWays(t, a, b)
		})
	}
}

// A client that may reach other allocations reaches no other service at the same address, and no
// such service reaches the client.
func TestOtherServicesAreUnreachable(t *testing.T) {
	r := start(t, Options{})
	relay := r.allocate(t, "alice")
	service := socket(t)
	if _, err := relay.WriteTo([]byte("attack"), service.LocalAddr()); err != nil {
		t.Fatal(err) // the address is allowed, for its allocations
	}
	// A packet between allocations, sent later, proves that the attack has been handled.
	b := r.allocate(t, "bob")
	if _, err := service.WriteTo([]byte("attack"), relay.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, err := relay.WriteTo([]byte("open"), b.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	passes(t, b, relay, relay.LocalAddr(), b.LocalAddr().String())
	_ = service.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	buf := make([]byte, 100)
	if n, from, err := service.ReadFrom(buf); err == nil {
		t.Errorf("%q from %s reached another service of this machine", buf[:n], from)
	}
}

func TestPrivatePeers(t *testing.T) {
	relays := []Address{{Bind: netip.MustParseAddr("127.0.0.1")}}
	t.Run("refused", func(t *testing.T) {
		r := start(t, Options{Addresses: relays})
		relay := r.allocate(t, "alice")
		for _, peer := range []string{"127.0.0.2:9", "10.0.0.1:9", "169.254.169.254:80", "0.0.0.0:9", "255.255.255.255:9"} {
			_, err := relay.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(peer)))
			if err == nil || !strings.Contains(err.Error(), "403") && !strings.Contains(err.Error(), "Forbidden") {
				t.Errorf("%s: %v, want 403", peer, err)
			}
		}
		if n := r.Stats().Refused[ReasonPeer]; n < 5 {
			t.Errorf("%d refusals are counted, want 5", n)
		}
	})
	t.Run("allowed", func(t *testing.T) {
		r := start(t, Options{Addresses: relays, AllowedPeers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		relay, peer := r.allocate(t, "alice"), socket(t)
		passes(t, relay, peer, peer.LocalAddr(), relay.LocalAddr().String())
		passes(t, peer, relay, relay.LocalAddr(), peer.LocalAddr().String())
		until(t, func() bool {
			s := r.Stats()
			return s.Sent > 0 && s.Received > 0 && s.Allocations == 1 && s.Allocated == 1
		})
	})
}

func TestWrongCredentials(t *testing.T) {
	r := start(t, Options{})
	user, password := credentials().Make("alice")
	old := Credentials{Secret: secret, Now: func() time.Time { return time.Now().Add(-25 * time.Hour) }}
	oldUser, oldPassword := old.Make("alice")
	foreignUser, foreignPassword := Credentials{Secret: "another"}.Make("alice")
	_, bobs := credentials().Make("bob")
	refusals := uint64(0)
	for what, c := range map[string][2]string{
		"expired": {oldUser, oldPassword}, "another secret": {foreignUser, foreignPassword}, "another's password": {user, bobs},
		"a prolonged one": {strings.Replace(oldUser, oldUser[:4], "9999", 1), oldPassword}, "no expiry": {"alice", password},
	} {
		if relay, err := r.udpClient(t, c[0], c[1]).Allocate(); err == nil {
			t.Errorf("%s: it allocates %s", what, relay.LocalAddr())
		}
		if n := r.Stats().Refused[ReasonCredential]; n <= refusals {
			t.Errorf("%s: not counted", what)
		} else {
			refusals = n
		}
	}
	if s := r.Stats(); s.Allocated != 0 {
		t.Errorf("%d were allocated", s.Allocated)
	}
}

// An allocation outlives its credential: the expiry passes between allocation and refresh.
func TestAllocationOutlivesCredential(t *testing.T) {
	c := newClock()
	r := start(t, Options{Credentials: Credentials{Secret: secret, TTL: time.Minute, Now: c.now}})
	user, password := Credentials{Secret: secret, TTL: time.Minute, Now: c.now}.Make("alice")
	relay, err := r.udpClient(t, user, password).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	c.advance(time.Hour)
	b, err := r.udpClient(t, user, password).Allocate()
	if err == nil {
		t.Fatalf("an expired credential allocates %s", b.LocalAddr())
	}
	// A permission is a request with the expired credential, and so is the refresh to zero that
	// Close sends.
	if _, err := relay.WriteTo([]byte("x"), relay.LocalAddr()); err != nil {
		t.Errorf("permission of an open allocation: %v", err)
	}
}

func TestUserQuota(t *testing.T) {
	r := start(t, Options{UserQuota: 2})
	r.allocate(t, "alice")
	second := r.allocate(t, "alice")
	user, password := credentials().Make("alice")
	if _, err := r.udpClient(t, user, password).Allocate(); err == nil || !strings.Contains(err.Error(), "486") {
		t.Errorf("third allocation: %v, want 486", err)
	}
	if r.Stats().Refused[ReasonQuota] == 0 {
		t.Error("the refusal is not counted")
	}
	r.allocate(t, "bob") // another user is not affected
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return r.Stats().Allocations == 2 })
	r.allocate(t, "alice") // one was given back
}

func TestTotalQuota(t *testing.T) {
	r := start(t, Options{TotalQuota: 1})
	r.allocate(t, "alice")
	user, password := credentials().Make("bob")
	if _, err := r.udpClient(t, user, password).Allocate(); err == nil || !strings.Contains(err.Error(), "508") {
		t.Errorf("second allocation: %v, want 508", err)
	}
	if r.Stats().Refused[ReasonFull] == 0 {
		t.Error("the refusal is not counted")
	}
}

func TestMaxAge(t *testing.T) {
	r := start(t, Options{MaxAge: 50 * time.Millisecond})
	r.allocate(t, "alice")
	until(t, func() bool { return r.Stats().Allocations == 0 && r.Stats().Allocated == 1 })
}

func TestPortRange(t *testing.T) {
	r := start(t, Options{MinPort: 41000, MaxPort: 41063})
	if port := r.allocate(t, "alice").LocalAddr().(*net.UDPAddr).Port; port < 41000 || port > 41063 {
		t.Errorf("the relay has port %d", port)
	}
}

// RFC 6062 would let clients open TCP connections from this machine.
func TestNoTCPAllocations(t *testing.T) {
	r := start(t, Options{AllowedPeers: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
	user, password := credentials().Make("alice")
	if relay, err := r.udpClient(t, user, password).AllocateTCP(); err == nil {
		t.Errorf("it allocates %s", relay.Addr())
	}
}

func TestInvalidOptions(t *testing.T) {
	good := Options{Credentials: credentials(), Addresses: []Address{{Bind: netip.MustParseAddr("127.0.0.1")}}}
	for what, change := range map[string]func(*Options){
		"no secret":   func(o *Options) { o.Credentials.Secret = "" },
		"no address":  func(o *Options) { o.Addresses = nil },
		"unspecified": func(o *Options) { o.Addresses = []Address{{Bind: netip.MustParseAddr("0.0.0.0")}} },
		"mixed families": func(o *Options) {
			o.Addresses = []Address{{Bind: netip.MustParseAddr("0.0.0.0"), Public: netip.MustParseAddr("::1")}}
		},
		"an empty address":    func(o *Options) { o.Addresses = []Address{{}} },
		"reversed port range": func(o *Options) { o.MinPort, o.MaxPort = 9, 8 },
	} {
		o := good
		change(&o)
		if _, err := NewServer(o); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	server, err := NewServer(good)
	if err != nil {
		t.Fatal(err)
	}
	if server.Run(t.Context(), nil, nil) == nil {
		t.Error("nothing to listen on: no error")
	}
}

// Open allocations, silent streams and half messages do not delay Run.
func TestCloseWhileInUse(t *testing.T) {
	server, trust := certificate(t)
	r := start(t, Options{TLS: server})
	r.allocate(t, "alice")
	user, password := credentials().Make("bob")
	relay, err := client(t, r.tcp, turn.NewSTUNConn(dialed(t, r.tcp, trust)), user, password).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	silent := dialed(t, r.tcp, nil)
	half := dialed(t, r.tcp, nil)
	if _, err := half.Write([]byte{0, 1, 0}); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return r.Stats().Streams == 3 })
	r.stop()
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a connection is still open")
	}
}

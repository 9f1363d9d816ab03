package netcheck

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"
)

func TestCompareMappings(t *testing.T) {
	a, b, silent := startServer(t), startServer(t), listenLoopback(t)
	options := Options{PacketTimeout: 300 * time.Millisecond}
	mapped := compareMappings(context.Background(), []Server{
		{URL: "stun:" + a.udp}, {URL: "turn:" + a.udp}, {URL: "stun:" + b.udp}, {URL: "turn:" + b.tcp + "?transport=tcp"},
		{URL: "stun:" + silent.LocalAddr().String()}, {URL: "stun:nobody.invalid"}, {URL: "http://example.org"},
	}, options.withDefaults())
	if len(mapped) != 2 || mapped[0] != mapped[1] || !mapped[0].Addr().IsLoopback() {
		t.Errorf("got mapped addresses %v, want the same one twice", mapped)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if mapped := compareMappings(over, []Server{{URL: "stun:" + silent.LocalAddr().String()}}, options.withDefaults()); mapped != nil {
		t.Errorf("got mapped addresses %v after the end", mapped)
	}
}

func addrs(list ...string) (all []netip.AddrPort) {
	for _, s := range list {
		all = append(all, netip.MustParseAddrPort(s))
	}
	return all
}

// TestMappingVaries: only servers beyond the NAT show how it maps. One in the host's own network
// sees the local address.
func TestMappingVaries(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("127.0.0.1")}
	yes, no := true, false
	for name, c := range map[string]struct {
		mapped []netip.AddrPort
		want   *bool
	}{
		"none":                       {nil, nil},
		"one":                        {addrs("203.0.113.1:1"), nil},
		"same":                       {addrs("203.0.113.1:1", "203.0.113.1:1"), &no},
		"other port":                 {addrs("203.0.113.1:1", "203.0.113.1:2"), &yes},
		"other address":              {addrs("203.0.113.1:1", "203.0.113.9:1"), &yes},
		"one and one of the network": {addrs("10.0.0.2:9", "203.0.113.1:1"), nil},
		"two and one of the network": {addrs("203.0.113.1:1", "10.0.0.2:9", "203.0.113.1:1"), &no},
		"two and one of the host":    {addrs("203.0.113.1:1", "203.0.113.1:2", "127.0.0.1:9"), &yes},
		"no NAT":                     {addrs("10.0.0.2:9", "10.0.0.2:9"), nil},
	} {
		if got := mappingVaries(c.mapped, own); !equal(got, c.want) {
			t.Errorf("%s: got %s, want %s", name, text(got), text(c.want))
		}
	}
}

func equal(a, b *bool) bool { return text(a) == text(b) }

func text(b *bool) string {
	if b == nil {
		return "unknown"
	}
	return strconv.FormatBool(*b)
}

// TestNATOfSeveralServers: the NAT is the one that is seen from farthest, and what any measurement
// finds to vary varies.
func TestNATOfSeveralServers(t *testing.T) {
	yes, no := true, false
	local := netip.MustParseAddrPort("10.0.0.2:9")
	result := func(mapped string, n *NAT) ServerResult {
		r := ServerResult{Transport: "udp", Local: local, Mapped: netip.MustParseAddrPort(mapped), nat: n}
		if n != nil {
			n.Mapped, n.Translated = r.Mapped, r.Mapped != local
		}
		return r
	}
	near := result("10.0.0.2:9", nil)
	nearTURN := result("10.0.0.2:9", &NAT{MappingVaries: &no, FiltersPorts: &no})
	far := result("203.0.113.1:1", nil)
	farTURN := result("203.0.113.1:1", &NAT{MappingVaries: &no, FiltersPorts: &yes})
	six := ServerResult{Transport: "udp", Local: netip.MustParseAddrPort("[2001:db8::1]:9"), Mapped: netip.MustParseAddrPort("[2001:db8::1]:9")}
	failed := ServerResult{Transport: "udp", Err: os.ErrDeadlineExceeded}
	tcp := result("203.0.113.1:1", nil)
	tcp.Transport = "tcp"
	for name, c := range map[string]struct {
		servers []ServerResult
		varies  *bool // by several servers
		want    *NAT
	}{
		"none":                   {[]ServerResult{failed, tcp}, nil, nil},
		"no NAT":                 {[]ServerResult{near, six}, nil, &NAT{Mapped: local}},
		"IPv6 alone":             {[]ServerResult{failed, six}, nil, &NAT{Mapped: six.Mapped}},
		"STUN":                   {[]ServerResult{far}, nil, &NAT{Mapped: far.Mapped, Translated: true}},
		"two STUN":               {[]ServerResult{far, far}, &yes, &NAT{Mapped: far.Mapped, Translated: true, MappingVaries: &yes}},
		"near, then far":         {[]ServerResult{near, far}, nil, &NAT{Mapped: far.Mapped, Translated: true}},
		"near TURN, far STUN":    {[]ServerResult{nearTURN, far}, nil, &NAT{Mapped: far.Mapped, Translated: true}},
		"near TURN, far TURN":    {[]ServerResult{nearTURN, far, farTURN}, nil, &NAT{Mapped: far.Mapped, Translated: true, MappingVaries: &no, FiltersPorts: &yes}},
		"varies by address only": {[]ServerResult{farTURN, far}, &yes, &NAT{Mapped: far.Mapped, Translated: true, MappingVaries: &yes, FiltersPorts: &yes}},
		"does not vary":          {[]ServerResult{farTURN, far}, &no, &NAT{Mapped: far.Mapped, Translated: true, MappingVaries: &no, FiltersPorts: &yes}},
	} {
		r := &Report{Servers: c.servers, mappingVaries: c.varies}
		got := r.NAT()
		if (got == nil) != (c.want == nil) || got != nil && (got.Mapped != c.want.Mapped || got.Translated != c.want.Translated ||
			!equal(got.MappingVaries, c.want.MappingVaries) || !equal(got.FiltersPorts, c.want.FiltersPorts)) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
		if got.Symmetric() != (c.want != nil && c.want.MappingVaries == &yes) {
			t.Errorf("%s: symmetric: %t", name, got.Symmetric())
		}
	}
}

func TestUDPBlocked(t *testing.T) {
	ok := func(transport string) ServerResult { return ServerResult{Transport: transport} }
	bad := func(transport string) ServerResult {
		return ServerResult{Transport: transport, Err: os.ErrDeadlineExceeded}
	}
	for name, c := range map[string]struct {
		servers []ServerResult
		want    bool
	}{
		"none":           {nil, false},
		"UDP not tried":  {[]ServerResult{ok("tcp")}, false},
		"blocked":        {[]ServerResult{bad("udp"), ok("tls")}, true},
		"all blocked":    {[]ServerResult{bad("udp"), bad("tcp")}, false},
		"one UDP server": {[]ServerResult{bad("udp"), ok("udp"), ok("tcp")}, false},
	} {
		if got := (&Report{Servers: c.servers}).UDPBlocked(); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

// TestLatePacketIsNoHairpinning: on a slow path packets of the relayed address still arrive when
// hairpinning is measured.
func TestLatePacketIsNoHairpinning(t *testing.T) {
	relayed := netip.MustParseAddrPort("203.0.113.1:9")
	socket := &markedConn{PacketConn: listenLoopback(t), sources: make(chan netip.AddrPort, 16)}
	socket.sources <- relayed
	socket.sources <- relayed
	mapped := listenLoopback(t).LocalAddr().(*net.UDPAddr)
	if got := measureHairpinning(socket, mapped, relayed, time.Millisecond); !equal(got, new(bool)) {
		t.Errorf("got %s, want false", text(got))
	}
}

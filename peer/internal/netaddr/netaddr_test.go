package netaddr

import (
	"net"
	"net/netip"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAddrPort(t *testing.T) {
	var none *net.UDPAddr
	for want, a := range map[netip.AddrPort]net.Addr{
		netip.MustParseAddrPort("192.0.2.1:80"): &net.UDPAddr{IP: net.ParseIP("192.0.2.1"), Port: 80}, // in 16 bytes
		netip.MustParseAddrPort("192.0.2.2:80"): &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2).To4(), Port: 80},
		netip.MustParseAddrPort("[fe80::1]:80"): &net.UDPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: "eth0"},
		netip.AddrPortFrom(netip.Addr{}, 80):    &net.UDPAddr{Port: 80},
		{}:                                      none,
	} {
		if got := AddrPort(a); got != want {
			t.Errorf("AddrPort(%v) = %v, want %v", a, got, want)
		}
	}
	if got := AddrPort(&net.UnixAddr{}); got != (netip.AddrPort{}) {
		t.Errorf("AddrPort of another kind of address = %v", got)
	}
}

func TestAllowed(t *testing.T) {
	for address, want := range map[string]bool{
		"192.168.1.2": true, "127.0.0.1": true, "169.254.7.7": true, "2001:db8::1": true, "fe80::1%eth0": true, "a-b.local": true,
		"0.0.0.0": false, "::": false, "::%eth0": false, "255.255.255.255": false, "224.0.0.251": false, "ff02::fb%eth0": false,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "169.254.170.2": false, "fd00:ec2::254": false,
	} {
		if got := Allowed(address); got != want {
			t.Errorf("Allowed(%s) = %v", address, got)
		}
	}
}

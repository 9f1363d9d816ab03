package turnserver

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestPeerFilter(t *testing.T) {
	f := newPeerFilter([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")},
		[]Address{{Public: netip.MustParseAddr("192.0.2.1")}, {Public: netip.MustParseAddr("2001:db8::1")}})
	f.interfaces = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.ParseIP("8.8.4.4"), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2600::5"), Mask: net.CIDRMask(64, 128)}}, nil
	}
	for address, want := range map[string]access{
		"8.8.8.8": allowed, "1.1.1.1": allowed, "2606:4700::1111": allowed, "100.63.255.255": allowed, "100.128.0.1": allowed,
		"172.15.0.1": allowed, "172.32.0.1": allowed, "::ffff:8.8.8.8": allowed, "64:ff9b::808:808": allowed, "2002:808:808::1": allowed,
		"10.1.2.3": allowed, "::ffff:10.1.2.3": allowed, "fd00:1::7": allowed,
		"192.0.2.1": allocationsOnly, "::ffff:192.0.2.1": allocationsOnly, "2001:db8::1": allocationsOnly,
		// this machine's own
		"8.8.4.4": denied, "::ffff:8.8.4.4": denied, "2600::5": denied, "64:ff9b::808:404": denied, "2002:808:404::": denied,
		// private
		"10.0.0.1": denied, "10.2.0.1": denied, "172.16.0.1": denied, "172.31.255.255": denied, "192.168.1.1": denied, "fc00::1": denied,
		"fd12::1": denied,
		// loopback
		"127.0.0.1": denied, "127.255.255.254": denied, "::1": denied, "::ffff:127.0.0.1": denied, "::127.0.0.1": denied,
		// unspecified
		"0.0.0.0": denied, "0.1.2.3": denied, "::": denied, "::ffff:0.0.0.0": denied,
		// link-local: cloud metadata among it
		"169.254.169.254": denied, "::ffff:169.254.169.254": denied, "fe80::1": denied, "fe80::1%eth0": denied,
		// multicast and broadcast
		"224.0.0.1": denied, "239.255.255.250": denied, "255.255.255.255": denied, "ff02::1": denied, "240.0.0.1": denied,
		// carrier-grade NAT
		"100.64.0.1": denied, "100.127.255.255": denied,
		// special
		"192.0.0.8": denied, "192.0.2.2": denied, "198.18.0.1": denied, "198.51.100.1": denied, "203.0.113.9": denied, "192.88.99.1": denied,
		"2001:db8::2": denied, "2001::1": denied, "fec0::1": denied, "100::1": denied,
		// translated
		"64:ff9b::7f00:1": denied, "64:ff9b::a9fe:a9fe": denied, "64:ff9b:1::808:808": denied, "2002:7f00:1::": denied, "2002:a00:1::1": denied,
		"64:ff9b::c000:201": denied,
	} {
		if got := f.check(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %d, want %d", address, got, want)
		}
	}
	if f.check(netip.Addr{}) != denied {
		t.Error("no address at all is allowed")
	}
}

// Without a list of local addresses every address may be local.
func TestUnknownLocalAddresses(t *testing.T) {
	f := newPeerFilter(nil, nil)
	f.interfaces = func() ([]net.Addr, error) { return nil, errors.New("no") }
	if f.check(netip.MustParseAddr("8.8.8.8")) != denied {
		t.Error("a peer is allowed though this machine's addresses are unknown")
	}
}

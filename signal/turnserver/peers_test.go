package turnserver

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestPeers(t *testing.T) {
	p := newPeers([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")},
		[]Address{{Public: netip.MustParseAddr("192.0.2.1")}, {Public: netip.MustParseAddr("2001:db8::1")}})
	p.list = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.ParseIP("8.8.4.4"), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2600::5"), Mask: net.CIDRMask(64, 128)}}, nil
	}
	for address, want := range map[string]verdict{
		"8.8.8.8": allowed, "1.1.1.1": allowed, "2606:4700::1111": allowed, "100.63.255.255": allowed, "100.128.0.1": allowed,
		"172.15.0.1": allowed, "172.32.0.1": allowed, "::ffff:8.8.8.8": allowed, "64:ff9b::808:808": allowed, "2002:808:808::1": allowed,
		"10.1.2.3": allowed, "::ffff:10.1.2.3": allowed, "fd00:1::7": allowed,
		"192.0.2.1": relaysOnly, "::ffff:192.0.2.1": relaysOnly, "2001:db8::1": relaysOnly,
		// this machine's own
		"8.8.4.4": refused, "::ffff:8.8.4.4": refused, "2600::5": refused, "64:ff9b::808:404": refused, "2002:808:404::": refused,
		// private
		"10.0.0.1": refused, "10.2.0.1": refused, "172.16.0.1": refused, "172.31.255.255": refused, "192.168.1.1": refused, "fc00::1": refused,
		"fd12::1": refused,
		// loopback
		"127.0.0.1": refused, "127.255.255.254": refused, "::1": refused, "::ffff:127.0.0.1": refused, "::127.0.0.1": refused,
		// unspecified
		"0.0.0.0": refused, "0.1.2.3": refused, "::": refused, "::ffff:0.0.0.0": refused,
		// link-local: cloud metadata among it
		"169.254.169.254": refused, "::ffff:169.254.169.254": refused, "fe80::1": refused, "fe80::1%eth0": refused,
		// multicast and broadcast
		"224.0.0.1": refused, "239.255.255.250": refused, "255.255.255.255": refused, "ff02::1": refused, "240.0.0.1": refused,
		// carrier-grade NAT
		"100.64.0.1": refused, "100.127.255.255": refused,
		// special
		"192.0.0.8": refused, "192.0.2.2": refused, "198.18.0.1": refused, "198.51.100.1": refused, "203.0.113.9": refused, "192.88.99.1": refused,
		"2001:db8::2": refused, "2001::1": refused, "fec0::1": refused, "100::1": refused,
		// translated
		"64:ff9b::7f00:1": refused, "64:ff9b::a9fe:a9fe": refused, "64:ff9b:1::808:808": refused, "2002:7f00:1::": refused, "2002:a00:1::1": refused,
		"64:ff9b::c000:201": refused,
	} {
		if got := p.judge(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %d, want %d", address, got, want)
		}
	}
	if p.judge(netip.Addr{}) != refused {
		t.Error("no address at all is allowed")
	}
}

// What cannot be listed may be ours.
func TestUnlistedAddresses(t *testing.T) {
	p := newPeers(nil, nil)
	p.list = func() ([]net.Addr, error) { return nil, errors.New("no") }
	if p.judge(netip.MustParseAddr("8.8.8.8")) != refused {
		t.Error("a peer is allowed though this machine's addresses are unknown")
	}
}

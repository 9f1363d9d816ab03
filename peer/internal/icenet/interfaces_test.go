package icenet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/transport/v4"

	"parley/peer/internal/netaddr"
)

// networkInterface returns an interface with addresses such as 192.0.2.1/24.
func networkInterface(t *testing.T, name string, flags net.Flags, addresses ...string) *transport.Interface {
	t.Helper()
	i := transport.NewInterface(net.Interface{Name: name, Flags: flags})
	for _, a := range addresses {
		ip, n, err := net.ParseCIDR(a)
		if err != nil {
			t.Fatal(err)
		}
		i.AddAddress(&net.IPNet{IP: ip, Mask: n.Mask})
	}
	return i
}

// addressesOf returns the addresses of interfaces.
func addressesOf(interfaces []*transport.Interface) (all []string) {
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			all = append(all, a.(*net.IPNet).IP.String())
		}
	}
	return all
}

func TestSelectAddresses(t *testing.T) {
	var many []string
	for n := range 150 {
		many = append(many, fmt.Sprintf("10.99.%d.1/24", n))
	}
	var bridges []*transport.Interface
	for n := range 20 {
		bridges = append(bridges, networkInterface(t, fmt.Sprint("br", n), net.FlagUp, fmt.Sprintf("172.16.%d.1/24", n)))
	}
	eth := networkInterface(t, "eth", net.FlagUp, many...)
	six := networkInterface(t, "six", net.FlagUp, "fe80::1/64", "2001:db8::1/64", "192.0.2.1/24")
	for name, tc := range map[string]struct {
		interfaces []*transport.Interface
		preferred  string
		want       []string
	}{
		"many addresses": {[]*transport.Interface{eth}, "", []string{"10.99.0.1", "10.99.1.1", "10.99.2.1", "10.99.3.1"}},
		"default route":  {[]*transport.Interface{eth}, "10.99.100.1", []string{"10.99.0.1", "10.99.1.1", "10.99.2.1", "10.99.100.1"}},
		"two families":   {[]*transport.Interface{eth, six}, "", []string{"10.99.0.1", "10.99.1.1", "10.99.2.1", "10.99.3.1", "2001:db8::1", "192.0.2.1"}},
		"many interfaces": {append(slices.Clone(bridges), six), "192.0.2.1", []string{"172.16.0.1", "172.16.1.1", "172.16.2.1", "172.16.3.1", "172.16.4.1",
			"172.16.5.1", "172.16.6.1", "172.16.7.1", "172.16.8.1", "2001:db8::1", "192.0.2.1"}},
		"each interface first": {[]*transport.Interface{eth, bridges[0]}, "", []string{"10.99.0.1", "10.99.1.1", "10.99.2.1", "10.99.3.1", "172.16.0.1"}},
		"loopback, down": {[]*transport.Interface{networkInterface(t, "lo", net.FlagUp|net.FlagLoopback, "127.0.0.1/8", "::1/128"), networkInterface(t, "down", 0, "192.0.2.7/24")},
			"", []string{"127.0.0.1", "::1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var preferred []netip.Addr
			if tc.preferred != "" {
				preferred = append(preferred, netip.MustParseAddr(tc.preferred))
			}
			if got := addressesOf(selectAddresses(tc.interfaces, preferred...)); !slices.Equal(got, tc.want) {
				t.Errorf("got  %v\nwant %v", got, tc.want)
			}
		})
	}
}

func TestInterfaceFilter(t *testing.T) {
	for _, tc := range []struct {
		filter InterfaceFilter
		name   string
		want   bool
	}{
		{InterfaceFilter{}, "eth0", true},
		{InterfaceFilter{Include: []string{"eth*", "wlan0"}}, "eth0", true},
		{InterfaceFilter{Include: []string{"eth*", "wlan0"}}, "wlan0", true},
		{InterfaceFilter{Include: []string{"eth*"}}, "docker0", false},
		{InterfaceFilter{Exclude: []string{"docker*", "br-*"}}, "br-1", false},
		{InterfaceFilter{Exclude: []string{"docker*"}}, "eth0", true},
		{InterfaceFilter{Include: []string{"eth*"}, Exclude: []string{"*1"}}, "eth1", false},
	} {
		if got := tc.filter.match(tc.name); got != tc.want {
			t.Errorf("%+v matches %s: %v", tc.filter, tc.name, got)
		}
	}
}

// localTap notes the address of the socket that a datagram is sent from.
type localTap struct{ local netip.AddrPort }

func (t *localTap) Datagram(_ bool, local, _ netip.AddrPort, _ []byte) { t.local = local }

func (*localTap) Segment(bool, netip.AddrPort, netip.AddrPort, []byte) {}

// Sockets towards servers are bound to the selected interfaces.
func TestServersAreReachedFromSelectedInterfaces(t *testing.T) {
	tap := &localTap{}
	n, err := New(Config{Interfaces: InterfaceFilter{Include: []string{"lo*"}}, Tap: tap})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	stun, err := n.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer stun.Close()
	if at := netaddr.AddrPort(stun.LocalAddr()).Addr(); !at.IsLoopback() {
		t.Errorf("the socket towards STUN servers is at %v", at)
	}
	turn, err := n.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer turn.Close()
	if _, err := turn.WriteTo([]byte("to a server"), stun.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if at := tap.local.Addr(); !at.IsLoopback() {
		t.Errorf("the socket towards TURN servers is at %v", at)
	}
	none, err := New(Config{Interfaces: InterfaceFilter{Include: []string{"no such interface"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if c, err := none.ListenUDP("udp4", &net.UDPAddr{}); err == nil {
		_ = c.Close()
		t.Error("a socket without an interface")
	}
	if _, err := none.ProxyDialer().Dial("tcp", "127.0.0.1:9"); err == nil {
		t.Error("a connection without an interface")
	}
}

func TestUsable(t *testing.T) {
	for address, want := range map[string]bool{
		"fe80::1": false, "fd00::2": true, "2001:db8::1": true, "::1": true, "192.0.2.2": true, "169.254.1.1": true, "127.0.0.1": true,
	} {
		if got := usable(net.ParseIP(address)); got != want {
			t.Errorf("usable(%s) = %v", address, got)
		}
	}
}

package turnserver

import (
	"errors"
	"net/netip"
	"testing"

	"parley/signal/internal/ratelimit"
)

// Limits per address count all addresses of an IPv6 /64 as one.
func TestAddressQuota(t *testing.T) {
	opts, err := Options{Credentials: credentials(), Addresses: []Address{{Bind: netip.MustParseAddr("::1")}}, AddressQuota: 2}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	a := newAllocator(&opts, newPeerFilter(nil, opts.Addresses), &counters{})
	reserve := func(user, address string) error {
		return a.reserve(parseOwner(owner{user, ratelimit.ClientPrefix(netip.MustParseAddr(address))}.userID()))
	}
	for _, step := range []struct {
		user, address string
		want          error
	}{
		{"a b", "2001:db8::1", nil}, {"c", "2001:db8::2", nil}, {"d", "2001:db8::ffff:0:0:3", errAddressQuota}, {"d", "2001:db8:0:1::3", nil},
		{"e", "192.0.2.1", nil}, {"f", "::ffff:192.0.2.1", nil}, {"g", "192.0.2.1", errAddressQuota}, {"g", "192.0.2.2", nil},
	} {
		if err := reserve(step.user, step.address); !errors.Is(err, step.want) {
			t.Errorf("%s at %s: %v, want %v", step.user, step.address, err, step.want)
		}
	}
	a.release(owner{"e", netip.MustParseAddr("192.0.2.1")})
	if err := reserve("g", "192.0.2.1"); err != nil {
		t.Errorf("after a release: %v", err)
	}
	if got := parseOwner(owner{"a b", netip.MustParseAddr("192.0.2.1")}.userID()); got.user != "a b" || got.address.String() != "192.0.2.1" {
		t.Errorf("owner becomes %+v", got)
	}
}

// Counts of clients stay right whichever of two events comes first.
func TestClientTable(t *testing.T) {
	table, a, peer := newClientTable(), netip.MustParseAddrPort("192.0.2.1:5"), netip.MustParseAddr("192.0.2.9")
	table.addAllocation(a, -1)
	table.addAllocation(a, 1)
	if len(table.clients) != 0 {
		t.Error("a client is left after its allocation")
	}
	if table.mayAdd(a, peer) {
		t.Error("a client without an allocation may have permissions")
	}
	table.addAllocation(a, 1)
	for range maxChannels {
		if !table.mayAdd(a, peer) {
			t.Fatal("too few channels")
		}
		table.addChannel(a, 1)
	}
	if table.mayAdd(a, peer) {
		t.Error("there is no limit of channels")
	}
	table.addChannel(a, -1)
	for i := range maxPermissions {
		table.addPermission(a, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
	}
	if table.mayAdd(a, peer) || !table.mayAdd(a, netip.AddrFrom4([4]byte{10})) {
		t.Error("new permissions are allowed, or old ones are refused")
	}
	table.addPermission(a, netip.AddrFrom4([4]byte{10}), -1)
	if !table.mayAdd(a, peer) {
		t.Error("a removed permission still counts")
	}
}

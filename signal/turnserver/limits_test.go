package turnserver

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// Limits per address count all addresses of an IPv6 /64 as one.
func TestAddressQuota(t *testing.T) {
	opts, err := Options{Credentials: credentials(), Addresses: []Address{{Bind: netip.MustParseAddr("::1")}}, AddressQuota: 2}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	a := newAllocator(&opts, newPeerFilter(nil, opts.Addresses), &counters{})
	reserve := func(user, address string) error {
		return a.reserve(parseOwner(owner{user, clientPrefix(netip.MustParseAddr(address))}.userID()))
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

func TestRateLimiter(t *testing.T) {
	l := newRateLimiter(10)
	takes := func(address string, now time.Duration) (n int) {
		for n < 1000 && l.takeAt(netip.MustParseAddr(address), int64(now)) {
			n++
		}
		return n
	}
	for _, step := range []struct {
		address string
		now     time.Duration
		want    int
	}{
		{"192.0.2.1", 0, 100}, {"192.0.2.1", 0, 0}, {"192.0.2.1", time.Second, 10}, {"192.0.2.1", time.Hour, 100},
		{"2001:db8::1", 0, 100}, {"2001:db8::2", 0, 0},
	} {
		if got := takes(step.address, step.now); got != step.want {
			t.Errorf("%s after %s: %d requests, want %d", step.address, step.now, got, step.want)
		}
	}
	if l := newRateLimiter(limitOrDefault(-1, 10)); !l.take(netip.MustParseAddr("192.0.2.1")) || l.fullAt != nil {
		t.Error("an unlimited rate is limited")
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

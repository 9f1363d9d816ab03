package admission

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"parley/signal/internal/ratelimit"
)

// TestThrottle guesses tokens: ten in half an hour from one /64, and no more.
func TestThrottle(t *testing.T) {
	g := NewGate(Limits{LoginFailures: ratelimit.New(10.0/(30*60), 10)})
	now := int64(time.Hour)
	guess := func(address string) bool {
		a := netip.MustParseAddr(address)
		if g.Throttled(a, now) {
			return false
		}
		g.LoginFailed(a, now)
		return true
	}
	for i := range 10 {
		if !guess(fmt.Sprintf("2001:db8::%x", i)) {
			t.Fatalf("guess %d was refused", i)
		}
	}
	if guess("2001:db8::ffff") {
		t.Error("the eleventh of a /64 was not refused")
	}
	if !guess("2001:db8:0:1::1") || !guess("192.0.2.1") {
		t.Error("another network was refused")
	}
	now += int64(3*time.Minute) - 1e9
	if guess("2001:db8::1") {
		t.Error("a guess came back before its time")
	}
	now += 2e9
	if !guess("2001:db8::1") || guess("2001:db8::1") {
		t.Error("after three minutes there is one guess, not more")
	}
	now += int64(time.Hour)
	for i := range 10 {
		if !guess("2001:db8::1") {
			t.Fatalf("after an hour guess %d was refused", i)
		}
	}
}

// TestAddressLimitsComeFirst fills the limits of one address. What it is refused takes nothing from
// others.
func TestAddressLimitsComeFirst(t *testing.T) {
	one, other, now := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), int64(time.Hour)
	for name, test := range map[string]struct {
		limits Limits
		want   Refusal
	}{
		"connections": {Limits{Connections: 3, PerAddress: 2}, TooManyFromAddress},
		"upgrades": {Limits{Connections: 100, PerAddress: 100, Upgrades: ratelimit.New(1, 3), UpgradesPerAddress: ratelimit.New(1, 2)},
			TooManyUpgradesFromAddress},
	} {
		g := NewGate(test.limits)
		for n := range 10 {
			want := test.want
			if n < 2 {
				want = ""
			}
			if got := g.Enter(one, now); got != want {
				t.Errorf("%s: connection %d of an address: got %q, want %q", name, n+1, got, want)
			}
		}
		if got := g.Enter(other, now); got != "" {
			t.Errorf("%s: connection of another address: got %q, want none", name, got)
		}
		if got := g.Count(); got != 3 {
			t.Errorf("%s: got %d connections, want 3", name, got)
		}
		for _, a := range []netip.Addr{one, one, other} {
			g.Leave(a)
		}
		if len(g.conns.prefixes) != 0 {
			t.Errorf("%s: addresses are left when all connections have ended: %v", name, g.conns.prefixes)
		}
	}
}

func TestParseAddr(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:1": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1", "[2001:db8::1]": "2001:db8::1",
		"::ffff:192.0.2.1": "192.0.2.1", "[fe80::1%eth0]:80": "fe80::1", "@": "invalid IP", "": "invalid IP",
	} {
		if got := parseAddr(text).String(); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

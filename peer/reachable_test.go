package peer

import (
	"net"
	"strings"
	"testing"
)

// TestLinkLocalAddressesAreNotUsed: Firefox answers their checks, and cannot send anything else to them.
func TestLinkLocalAddressesAreNotUsed(t *testing.T) {
	for address, want := range map[string]bool{
		"fe80::1": false, "fd00::2": true, "2001:db8::1": true, "::1": true, "192.0.2.2": true, "169.254.1.1": true, "127.0.0.1": true,
	} {
		if got := isReachable(net.ParseIP(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	a, _ := pair(t, nil)
	await(a, func(CandidatesDone) bool { return true })
	if happenings(a, func(e CandidateFound) bool { return !e.Remote && strings.HasPrefix(e.Address, "[fe80") }) > 0 {
		t.Errorf("the call has a socket at a link-local address: %s", a.summary())
	}
}

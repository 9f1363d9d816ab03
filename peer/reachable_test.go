package peer

import (
	"strings"
	"testing"
)

// Firefox answers checks of link-local addresses and cannot send anything else to them.
func TestNoCandidateAtLinkLocalAddresses(t *testing.T) {
	a, _ := pair(t, nil)
	await(a, func(GatheringComplete) bool { return true })
	if happenings(a, func(e CandidateFound) bool { return !e.Remote && strings.HasPrefix(e.Address, "[fe80") }) > 0 {
		t.Errorf("the call has a socket at a link-local address: %s", a.summary())
	}
}

package icenet

import (
	"net"
	"testing"
)

func FuzzParseCandidate(f *testing.F) {
	f.Add("candidate:1 1 udp 2122252543 192.0.2.7 5000 typ host")
	f.Fuzz(func(t *testing.T, line string) {
		if c, err := ParseCandidate(line); err == nil && !validAddress(c.Address()) {
			t.Errorf("took the address %q", c.Address())
		}
	})
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

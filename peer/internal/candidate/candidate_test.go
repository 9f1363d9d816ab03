package candidate

import "testing"

func FuzzParse(f *testing.F) {
	f.Add("candidate:1 1 udp 2122252543 192.0.2.7 5000 typ host")
	f.Fuzz(func(t *testing.T, line string) {
		if c, err := Parse(line); err == nil && !validAddress(c.Address()) {
			t.Errorf("took the address %q", c.Address())
		}
	})
}

package pipe

import (
	"runtime/debug"
	"testing"
)

// The memory limit leaves room for all connections that may be forwarded, and does not replace a
// limit of the user.
func TestSetMemoryLimit(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) }()
	for _, test := range []struct {
		forwards bool
		user     string
		want     int64
	}{{false, "", 52 << 20}, {true, "", 564 << 20}, {true, "1GiB", 1 << 30}} {
		debug.SetMemoryLimit(1 << 30)
		t.Setenv("GOMEMLIMIT", test.user)
		SetMemoryLimit(test.forwards)
		if got := debug.SetMemoryLimit(-1); got != test.want {
			t.Errorf("forwards %t, GOMEMLIMIT %q: got a limit of %d bytes, want %d", test.forwards, test.user, got, test.want)
		}
	}
}

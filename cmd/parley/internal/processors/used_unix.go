//go:build unix

package processors

import (
	"syscall"
	"time"
)

// used returns the CPU time of the process, and false if it is not known.
func used() (time.Duration, bool) {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0, false
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), true
}

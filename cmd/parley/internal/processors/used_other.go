//go:build !unix

package processors

import "time"

// used reports that the CPU time of the process is not known.
func used() (time.Duration, bool) { return 0, false }

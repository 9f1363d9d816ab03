package main

import "runtime/debug"

// tuneForBulk lets the collector run less often: a packet of SCTP costs several
// small allocations, and the little that is alive at a time makes it run
// thousands of times a second otherwise.
func tuneForBulk() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(52 << 20)
}

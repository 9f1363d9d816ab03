package pipe

import (
	"os"
	"runtime/debug"
)

const (
	// bulkMemory is the memory in bytes from which on the collector runs more often.
	bulkMemory = 52 << 20
	// forwardedMemory is what forwarded connections may hold in addition: two windows of
	// datachannel.Conn each.
	forwardedMemory = maxForwarded * 2 * 256 << 10
)

// SetMemoryLimit lets the collector run less often: a packet of SCTP costs several small
// allocations, and the little that is alive at a time makes it run thousands of times a second
// otherwise. The limit is above what is alive, because the collector would run all the time at it.
// GOMEMLIMIT takes precedence.
func SetMemoryLimit(forwards bool) {
	debug.SetGCPercent(400)
	limit := int64(bulkMemory)
	if forwards {
		limit += forwardedMemory
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}

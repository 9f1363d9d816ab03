//go:build !quick

package peer

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"parley/peer/datachannel"
)

// TestFiveHundredCalls makes and ends them in one process: nothing of a call is
// left when it is over.
func TestFiveHundredCalls(t *testing.T) {
	oneCall(t) // what a process needs once
	var before resources
	var heap uint64
	const calls = 500
	for i := range calls {
		if i == calls/10 {
			before, heap = held(), heapInUse()
		}
		oneCall(t)
	}
	awaitHeld(t, "500 calls", before)
	// Timers hold what is over for a few seconds more. A megabyte is 2 kB a call; a
	// connected call has several hundred.
	timeout := time.After(2 * deadline)
	for now := heapInUse(); now > heap+1<<20; now = heapInUse() {
		select {
		case <-timeout:
			t.Fatalf("the heap has %d kB after %d calls, and had %d kB after %d", now>>10, calls, heap>>10, calls/10)
		case <-time.After(100 * time.Millisecond): // to look again
		}
	}
}

// oneCall is a call in which both peers receive something, made and ended.
func oneCall(t *testing.T) {
	t.Helper()
	var a, b *side
	a = newSide(t, "caller", Config{Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: &wire{to: func() *Call { return b.call }}})
	b = newSide(t, "answerer", Config{Signaler: &wire{to: func() *Call { return a.call }}})
	stopB, stopA := b.run(), a.run()
	b.call.Say("hello")
	a.awaitText("hello")
	a.call.Say("hello to you")
	b.awaitText("hello to you")
	stopA()
	stopB()
}

func heapInUse() uint64 {
	debug.FreeOSMemory() // collects, sweeps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

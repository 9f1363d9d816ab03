//go:build bench && unix

package peer

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/peer/datachannel"
)

// TestManyChannelsInACall opens and closes 100,000 forwarded connections in one call, three times
// as many as a side has IDs for. The last ones take no more CPU time than the first, and no more
// memory.
func TestManyChannelsInACall(t *testing.T) {
	const many, part, atOnce = 100_000, 20_000, 8
	a, b := pair(t, func(_, answerer *Config) {
		answerer.OnEvent = func(e Event) {
			if e, ok := e.(ChannelOpened); ok && e.Channel.Protocol() == datachannel.ConnProtocol {
				e.Channel.Detach()
				go func() { _ = datachannel.NewConn(t.Context(), e.Channel).CloseWrite() }()
			}
		}
	})
	a.awaitConnected()
	a.forget()
	b.forget()
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	start := usedCPU(t)
	var times []time.Duration
	var heaps []uint64 // KiB
	for i := range many {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			ch, err := a.call.OpenChannel(t.Context(), datachannel.Options{Protocol: datachannel.ConnProtocol})
			if err != nil {
				t.Error(err)
				return
			}
			c := datachannel.NewConn(t.Context(), ch)
			<-c.Accepted()
			_ = c.Close()
			c.Wait()
		})
		if (i+1)%part == 0 {
			times = append(times, usedCPU(t)-start)
			a.forget() // their events have the channels
			b.forget()
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			heaps = append(heaps, m.HeapAlloc>>10)
			start = usedCPU(t)
		}
	}
	all.Wait()
	fmt.Println("<!-- bench-connections -->\n| connections, in thousands | CPU s for the last 20 | MiB of heap at both ends |\n|---:|---:|---:|")
	for i, took := range times {
		fmt.Printf("| %d | %.1f | %.1f |\n", (i+1)*part/1000, took.Seconds(), float64(heaps[i])/1024)
	}
	if first, last := heaps[0], heaps[len(heaps)-1]; last > first+16<<10 {
		t.Errorf("the heap grew from %d to %d KiB", first, last)
	}
	if first, last := times[0], times[len(times)-1]; last > 2*first {
		t.Errorf("the first %d took %v, the last %v", part, first, last)
	}
}

// usedCPU returns the CPU time of the process.
func usedCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

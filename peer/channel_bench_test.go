//go:build bench

package peer

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"parley/peer/datachannel"
)

// TestManyChannelsInACall opens and closes 100,000 forwarded connections in one call, three times
// as many as a side has IDs for. The last ones take no longer than the first, and no more memory.
func TestManyChannelsInACall(t *testing.T) {
	const many, part, atOnce = 100_000, 20_000, 8
	a, _ := pair(t, func(_, answerer *Config) {
		answerer.OnEvent = func(e Event) {
			if e, ok := e.(ChannelOpened); ok && e.Channel.Protocol() == datachannel.ConnProtocol {
				e.Channel.Detach()
				go func() { _ = datachannel.NewConn(t.Context(), e.Channel).CloseWrite() }()
			}
		}
	})
	a.awaitConnected()
	a.forget()
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	start := time.Now()
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
			times = append(times, time.Since(start))
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			heaps = append(heaps, m.HeapAlloc>>10)
			start = time.Now()
			a.forget()
		}
	}
	all.Wait()
	t.Logf("%d channels each: %v, KiB of heap: %d", part, times, heaps)
	if first, last := heaps[0], heaps[len(heaps)-1]; last > first+16<<10 {
		t.Errorf("the heap grew from %d to %d KiB", first, last)
	}
	if first, last := times[0], times[len(times)-1]; last > 3*first+10*time.Second {
		t.Errorf("the first %d took %v, the last %v", part, first, last)
	}
}

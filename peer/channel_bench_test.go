//go:build bench

package peer

import (
	"sync"
	"testing"
	"time"

	"parley/peer/datachannel"
)

// TestManyChannelsInACall opens and closes more than twice as many channels in one call as a side
// has IDs for. The last ones take no longer than the first.
func TestManyChannelsInACall(t *testing.T) {
	const many, part, atOnce = 72_000, 12_000, 8
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
			start = time.Now()
			a.forget()
		}
	}
	all.Wait()
	t.Logf("%d channels each: %v", part, times)
	if first, last := times[0], times[len(times)-1]; last > 3*first+10*time.Second {
		t.Errorf("the first %d took %v, the last %v", part, first, last)
	}
}

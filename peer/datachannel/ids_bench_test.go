//go:build bench

package datachannel

import (
	"runtime"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// many is more than twice as many channels as one side has IDs for.
const many = 72_000

// TestManyChannels opens and closes many channels in one connection, to a peer of our own and to
// one that reads its channels by callbacks as a browser does, and keeps something of each. Our
// memory and the time for each stay the same.
func TestManyChannels(t *testing.T) {
	t.Run("to our own", func(t *testing.T) {
		a, b := sides(t)
		b.echo(t)
		heaps := openMany(t, a)
		if first, last := heaps[0], heaps[len(heaps)-1]; last > first+16<<10 {
			t.Errorf("the heap grew from %d to %d KiB", first, last)
		}
	})
	t.Run("to another", func(t *testing.T) {
		settings := webrtc.SettingEngine{}
		settings.SetIncludeLoopbackCandidate(true)
		b, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.GracefulClose() })
		settings.DetachDataChannels()
		a := newSide(t, settings)
		connect(t, a.pc, b)
		openMany(t, a)
	})
}

// openMany returns the KiB of heap after each sixth.
func openMany(t *testing.T, s *side) (heaps []uint64) {
	start := time.Now()
	var times []time.Duration
	openAndClose(t, s.Set, many, func(done int) {
		if done%(many/6) == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			times, heaps = append(times, time.Since(start)), append(heaps, m.HeapAlloc>>10)
		}
	})
	t.Logf("after each sixth: %v, KiB of heap: %d", times, heaps)
	if first, last := times[0], times[5]-times[4]; last > 3*first+reuseDelay {
		t.Errorf("the first sixth took %v, and the last %v", first, last)
	}
	return heaps
}

package source

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/media/localtrack"
)

// TestForwarderKeyFrames: the request of the far end reaches the source, not too often, and never for nothing.
func TestForwarderKeyFrames(t *testing.T) {
	m := localtrack.NewForwarder(webrtc.RTPCodecTypeVideo, localtrack.ForwarderOptions{})
	m.RequestKeyFrame() // there is no source yet
	synctest.Test(t, func(t *testing.T) {
		w := newWire(webrtc.MimeTypeVP8)
		var times []time.Duration
		start := time.Now()
		r := NewReceiver(w, ReceiverOptions{Forwarder: m, RequestKeyFrame: func() { times = append(times, time.Since(start)) }})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		if len(times) != 1 {
			t.Errorf("requests at the start: %v", times)
		}
		time.Sleep(time.Second)
		for range 10 { // the far end asks ten times in a second
			m.RequestKeyFrame()
			time.Sleep(100 * time.Millisecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if want := []time.Duration{0, time.Second, 1500 * time.Millisecond}; !slices.Equal(times, want) {
			t.Errorf("requests are at %v, want %v", times, want)
		}
	})
}

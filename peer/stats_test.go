package peer

import (
	"testing"

	"github.com/pion/webrtc/v4"
)

// The race detector sees statistics that are read while a simulcast track is added.
func TestStatsWhileSimulcastTrackIsAdded(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeOpus)}
	})
	a.awaitConnected()
	b.awaitConnected()
	conn := a.call.stats.live[0]
	stop, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		for {
			select {
			case <-stop:
				return
			default:
				out, _ := conn.streams.all(conn.pc) // as Stats does, more often
				for _, o := range out {
					o.Encodings()
				}
			}
		}
	}()
	defer func() { close(stop); <-read }()
	for range 12 {
		a.must(func(done func(error)) { a.call.AddTrack(newLayeredTrack(t), done) })
	}
}

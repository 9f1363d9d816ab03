package peer

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// layeredTrack is a track in three sizes.
type layeredTrack struct {
	webrtc.TrackLocal
	layers []webrtc.TrackLocal
}

func (l *layeredTrack) Layers() []webrtc.TrackLocal { return l.layers }

func newLayeredTrack(t *testing.T) *layeredTrack {
	t.Helper()
	l := &layeredTrack{}
	for _, rid := range []string{"q", "h", "f"} {
		track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", "parley",
			webrtc.WithRTPStreamID(rid))
		if err != nil {
			t.Fatal(err)
		}
		l.layers = append(l.layers, track)
	}
	l.TrackLocal = l.layers[0]
	return l
}

// TestSimulcastLayersByRID: each layer of a track is a track of its own at the peer.
func TestSimulcastLayersByRID(t *testing.T) {
	sent := newLayeredTrack(t)
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{sent} })
	a.awaitConnected()
	b.awaitConnected()
	ctx, stop := context.WithCancel(context.Background())
	var feeding sync.WaitGroup
	feeding.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for _, l := range sent.layers {
					_ = l.(*webrtc.TrackLocalStaticSample).WriteSample(media.Sample{Data: make([]byte, 100), Duration: 20 * time.Millisecond})
				}
			}
		}
	})
	defer feeding.Wait()
	defer stop()
	for _, rid := range []string{"q", "h", "f"} {
		e := await(b, func(e TrackReceived) bool { return e.Track.RID() == rid })
		if e.Track.ID() != "video" || e.Track.Kind() != webrtc.RTPCodecTypeVideo {
			t.Errorf("layer %s is of track %s", rid, e.Track.ID())
		}
	}
	if n := happenings(a, func(e TrackSending) bool { return e.Track == webrtc.TrackLocal(sent) }); n != 1 {
		t.Errorf("%d reports that the track is sent", n)
	}
}

// TestStatsWhileLayersAreAdded: statistics may be read by any goroutine while a simulcast track is
// added.
func TestStatsWhileLayersAreAdded(t *testing.T) {
	a, b := pair(t, func(caller, _ *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio")}
	})
	a.awaitConnected()
	b.awaitConnected()
	ctx, stop := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			for ctx.Err() == nil {
				a.call.Stats()
			}
		})
	}
	defer reading.Wait()
	defer stop()
	for range 20 {
		a.must(func(ctx context.Context) error { return a.call.AddTrack(ctx, newLayeredTrack(t)) })
	}
}

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
		a.must(func(ctx context.Context) error { return a.call.AddTrack(ctx, newLayeredTrack(t)) })
	}
}

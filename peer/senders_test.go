package peer

import (
	"testing"

	"github.com/pion/webrtc/v4"

	"parley/peer/track"
)

// writerTrack is a local track that keeps the writer that it is bound to.
type writerTrack struct {
	*webrtc.TrackLocalStaticRTP
	writer chan webrtc.TrackLocalWriter
}

func (w *writerTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	select {
	case w.writer <- c.WriteStream():
	default:
	}
	return w.TrackLocalStaticRTP.Bind(c)
}

// TestFramesReachTheSocketTogether: a burst of a local track is one of the sockets.
func TestFramesReachTheSocketTogether(t *testing.T) {
	static, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "video", "parley")
	if err != nil {
		t.Fatal(err)
	}
	local := &writerTrack{static, make(chan webrtc.TrackLocalWriter, 1)}
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{local} })
	a.awaitConnected()
	b.awaitConnected()
	w, ok := (<-local.writer).(track.BurstWriter)
	if !ok {
		t.Fatal("the writer of a local track has no bursts")
	}
	n, begun, ended := a.call.transports.conns[0].net, false, false
	for range 100 { // a burst of data channels may end or begin meanwhile
		w.BeginBurst()
		begun = begun || n.InBurst()
		w.EndBurst()
		ended = ended || !n.InBurst()
	}
	if !begun || !ended {
		t.Errorf("the sockets collect packets: %t; and stop it at the end: %t", begun, ended)
	}
}

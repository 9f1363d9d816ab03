package peer

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// A section with no codec of ours is rejected, and the rest of the call goes on: Pion would make no answer at all, had
// the section a track of ours.
func TestOfferWithoutCodecOfOurs(t *testing.T) {
	page := newOriginalPage(t)
	sound, err := page.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		t.Fatal(err)
	}
	strange := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeG722, ClockRate: 8000}, PayloadType: 9,
	}
	if err := sound.SetCodecPreferences([]webrtc.RTPCodecParameters{strange}); err != nil {
		t.Fatal(err)
	}
	s := newSide(t, "terminal", Config{Media: MediaConfig{Tracks: []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "sound")}}, Signaler: page})
	page.peer = s.call
	s.start()
	page.call()
	await(s, func(e TrackRejected) bool { return e.Track.Kind() == webrtc.RTPCodecTypeAudio })
	select {
	case <-page.opened:
	case <-time.After(deadline):
		t.Fatalf("no channel; there were %s", s.summary())
	}
	if err := page.channel.SendText("hello terminal"); err != nil {
		t.Fatal(err)
	}
	s.awaitText("hello terminal")
}

// No two tracks of a description have one name, though they were given so: Chromium takes no such description.
func TestTracksOfOneName(t *testing.T) {
	one, two := rawTrack(t, webrtc.MimeTypeVP8, "picture"), rawTrack(t, webrtc.MimeTypeVP8, "picture")
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{one, two} })
	a.awaitConnected()
	b.awaitConnected()
	names := map[string]bool{}
	for line := range strings.Lines(a.call.stats.live[0].pc.LocalDescription().SDP) {
		if name, ok := strings.CutPrefix(line, "a=msid:"); ok {
			names[name] = true
		}
	}
	if len(names) != 2 {
		t.Errorf("the tracks are named %v", names)
	}
}

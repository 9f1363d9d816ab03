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
	s := newSide(t, "terminal", Config{Tracks: []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "sound")}, Signaler: page})
	page.peer = s.call
	s.start()
	page.call()
	await(s, func(e TrackRefused) bool { return e.Track.Kind() == webrtc.RTPCodecTypeAudio })
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

// The rejected section names what was offered, and its candidates go with one that is not rejected.
func TestRejecting(t *testing.T) {
	offer := "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 9\r\na=mid:x\r\na=rtpmap:9 G722/8000\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:y\r\n"
	answer := "v=0\r\nm=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=candidate:1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:y\r\n"
	want := "v=0\r\nm=audio 0 UDP/TLS/RTP/SAVPF 9\r\nc=IN IP4 0.0.0.0\r\na=mid:x\r\na=rtpmap:9 G722/8000\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:y\r\na=candidate:1\r\n"
	if got := rejecting(answer, offer); got != want {
		t.Errorf("%q", got)
	}
}

// No two tracks of a description have one name, though they were given so: Chromium takes no such description.
func TestTracksOfOneName(t *testing.T) {
	one, two := rawTrack(t, webrtc.MimeTypeVP8, "picture"), rawTrack(t, webrtc.MimeTypeVP8, "picture")
	a, b := pair(t, func(caller, _ *Config) { caller.Tracks = []webrtc.TrackLocal{one, two} })
	a.awaitConnected()
	b.awaitConnected()
	names := map[string]bool{}
	for line := range strings.Lines(a.call.live[0].pc.LocalDescription().SDP) {
		if name, ok := strings.CutPrefix(line, "a=msid:"); ok {
			names[name] = true
		}
	}
	if len(names) != 2 {
		t.Errorf("the tracks are named %v", names)
	}
}

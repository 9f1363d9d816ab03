package peer

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"
)

// Offer and answer name what they may, and no more: Pion's own list has H.265 and G.722.
func TestDescriptionsNameTheCodecsOfTheCall(t *testing.T) {
	all := []string{"OPUS", "PCMU", "PCMA", "VP8", "H264", "AV1", "VP9"}
	for name, c := range map[string]struct{ caller, answerer, offered, answered []string }{
		"all":      {nil, nil, all, all},
		"caller":   {[]string{webrtc.MimeTypeOpus, webrtc.MimeTypeVP8}, nil, []string{"OPUS", "VP8"}, []string{"OPUS", "VP8"}},
		"answerer": {nil, []string{webrtc.MimeTypeOpus, webrtc.MimeTypeH264}, all, []string{"OPUS", "H264"}},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			seen := map[string][]string{}
			look := func(kind, s string) (string, bool) {
				mu.Lock()
				defer mu.Unlock()
				if kind == "offer" || kind == "answer" {
					seen[kind] = codecsNamed(s)
				}
				return s, true
			}
			a, _ := pair(t, func(caller, answerer *Config) {
				caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}
				caller.Media.Codecs, answerer.Media.Codecs = c.caller, c.answerer
				caller.Signaler.(*wire).filter, answerer.Signaler.(*wire).filter = look, look
			})
			a.awaitConnected()
			mu.Lock()
			defer mu.Unlock()
			for kind, want := range map[string][]string{"offer": c.offered, "answer": c.answered} {
				want = slices.Sorted(slices.Values(want))
				if !slices.Equal(seen[kind], want) {
					t.Errorf("the %s names %v, want %v", kind, seen[kind], want)
				}
			}
		})
	}
}

// extensionTrack reports the header extensions that it is bound with.
type extensionTrack struct {
	*webrtc.TrackLocalStaticSample
	bound chan []webrtc.RTPHeaderExtensionParameter
}

// Bind implements webrtc.TrackLocal.
func (t extensionTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	t.bound <- c.HeaderExtensions()
	return t.TrackLocalStaticSample.Bind(c)
}

// TestOrientationIsNegotiated: sender and receiver know the ID of the header extension with the
// orientation of video.
func TestOrientationIsNegotiated(t *testing.T) {
	track := extensionTrack{testTrack(t, webrtc.MimeTypeVP8), make(chan []webrtc.RTPHeaderExtensionParameter, 8)}
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{track} })
	a.awaitConnected()
	id := func(extensions []webrtc.RTPHeaderExtensionParameter) int {
		for _, e := range extensions {
			if e.URI == orientationExtension {
				return e.ID
			}
		}
		return 0
	}
	sent := id(<-track.bound)
	feedTrack(t, track.TrackLocalStaticSample)
	e := await(b, func(TrackReceived) bool { return true })
	if received := id(e.Receiver.GetParameters().HeaderExtensions); sent == 0 || received != sent {
		t.Errorf("the sender uses ID %d, the receiver %d", sent, received)
	}
}

// codecsNamed are the codecs of a description, sorted, without retransmission.
func codecsNamed(sdp string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^a=rtpmap:\d+ ([^/\r\n]+)`).FindAllStringSubmatch(sdp, -1) {
		if name := strings.ToUpper(m[1]); name != "RTX" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

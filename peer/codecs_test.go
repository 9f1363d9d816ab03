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

package jsep

import (
	"strings"
	"testing"
)

// ourOffer is an offer of two sections and one that was rejected before.
const ourOffer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a1 0\r\na=setup:actpass\r\n" +
	"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 AA:BB\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a1\r\na=rtpmap:111 opus/48000/2\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\na=sctp-port:5000\r\n" +
	"m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:v1\r\na=rtpmap:96 VP8/90000\r\n"

func TestCheckAnswer(t *testing.T) {
	offer, err := Unmarshal(ourOffer)
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Replace(ourOffer, "setup:actpass", "setup:active", 1)
	video := good[strings.Index(good, "m=video"):]
	for name, c := range map[string]struct{ old, new, want string }{
		"good":                   {"", "", ""},
		"rejected":               {"m=audio 9", "m=audio 0", ""},
		"without a mid":          {"a=mid:v1\r\n", "", ""},
		"another RTP profile":    {"UDP/TLS/RTP/SAVPF 111", "RTP/SAVPF 111", ""},
		"old data channels":      {"UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000", ""},
		"one section less":       {video, "", "it has 2 m-sections, the offer has 3"},
		"one section more":       {video, video + strings.Replace(video, "v1", "v2", 1), "it has 4 m-sections, the offer has 3"},
		"another mid":            {"a=mid:a1", "a=mid:a2", `m-section 1 has the mid "a2", the offer has "a1"`},
		"another kind":           {"m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=video 9 UDP/TLS/RTP/SAVPF 111", `m-section 1 is "video", the offer has "audio"`},
		"another order":          {"a=mid:a1\r\na=rtpmap:111 opus/48000/2\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0", "a=mid:0\r\na=rtpmap:111 opus/48000/2\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:a1", `has the mid "0"`},
		"accepted unoffered":     {"m=video 0", "m=video 9", "m-section 3 is accepted, and was not offered"},
		"role left open":         {"a=setup:active", "a=setup:actpass", "leaves the DTLS role open"},
		"role of a section open": {"a=mid:0\r\n", "a=mid:0\r\na=setup:actpass\r\n", "m-section 2 leaves the DTLS role open"},
		"another protocol":       {"UDP/DTLS/SCTP webrtc-datachannel", "UDP/BFCP *", `has the protocol "UDP/BFCP"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			err := CheckAnswer(offer, parse(t, text))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

package sdptext

import (
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// pionOffer returns an offer of audio, video and data.
func pionOffer(t *testing.T) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pc.CreateDataChannel("channel1", nil); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

// TestParseFormat: a description that is parsed and formatted again is the same.
func TestParseFormat(t *testing.T) {
	offer := pionOffer(t)
	all := Parse(offer)
	if got := Format(all); got != offer {
		t.Errorf("got %q, want %q", got, offer)
	}
	var kinds []string
	for _, s := range all {
		kinds = append(kinds, s.Kind)
	}
	if want := []string{"", "audio", "video", "application"}; !slices.Equal(kinds, want) {
		t.Errorf("sections are %q, want %q", kinds, want)
	}
	if got := Attribute(offer, "ice-ufrag"); got == "" || got != all[1].Values("ice-ufrag")[0] {
		t.Errorf("ice-ufrag is %q", got)
	}
}

// TestMutations: each mutation changes an offer, and does what its name says.
func TestMutations(t *testing.T) {
	offer := pionOffer(t)
	contains := map[string]string{
		"only-pcmu": "a=rtpmap:0 PCMU/8000", "only-h264": "H264/90000", "unknown-video": "X-UNKNOWN/90000", "unknown-codec": "a=rtpmap:63 X-FUTURE", "sdes": "a=crypto:1",
		"setup-active": "a=setup:active", "unknown-hash": "a=fingerprint:x-future-1", "legacy-sctp": "m=application 9 DTLS/SCTP 5000", "unknown-attributes": "a=x-unknown\r\n",
	}
	lacks := map[string]string{
		"only-pcmu": "opus", "only-h264": "VP8", "no-extensions": "a=extmap", "no-feedback": "a=rtcp-fb", "no-rtx": "rtx", "no-msid": "a=msid", "legacy-sctp": "a=sctp-port", "unknown-video": "VP8",
	}
	for name, mutate := range Mutations() {
		all := Parse(offer)
		if name == "no-max-message" || name == "media-level" { // what an offer of Pion lacks
			all[1].Lines = append(all[1].Lines, "a=max-message-size:1")
			all[0].Lines = append(all[0].Lines, "a=setup:actpass")
		}
		if name == "no-ssrc" || name == "no-msid" {
			all[1].Lines = append(all[1].Lines, "a=ssrc:1 cname:x", "a=msid:x y")
		}
		before := Format(all)
		mutate(all)
		after := Format(all)
		if name == "lower-fingerprint" {
			if _, digits, _ := strings.Cut(Attribute(after, "fingerprint"), " "); digits != strings.ToLower(digits) {
				t.Errorf("%s: the fingerprint is %q", name, digits)
			}
		}
		if before == after {
			t.Errorf("%s changes nothing", name)
		}
		if !strings.Contains(after, contains[name]) {
			t.Errorf("%s: there is no %q in %s", name, contains[name], after)
		}
		if l := lacks[name]; l != "" && strings.Contains(after, l) {
			t.Errorf("%s: there is %q in %s", name, l, after)
		}
		if len(Parse(after)) != len(Parse(offer)) {
			t.Errorf("%s changes the number of sections", name)
		}
	}
}

package jsep

import (
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/msection"
)

const goodOffer = "v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" +
	"a=group:BUNDLE 0 1\r\na=ice-options:trickle\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n" +
	"a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n" +
	"a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sctp-port:5000\r\n"

func TestParse(t *testing.T) {
	d, err := Parse(goodOffer)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Sections) != 2 || !d.Trickle {
		t.Fatalf("%+v", d)
	}
	audio, data := d.Sections[0], d.Sections[1]
	if audio.Kind != webrtc.RTPCodecTypeAudio || !audio.Sends() || audio.Receives() || audio.Mid != "0" {
		t.Errorf("audio: %+v", audio)
	}
	if !data.Data || data.Kind != 0 {
		t.Errorf("data: %+v", data)
	}
}

func TestParseRejects(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"nothing":             {goodOffer, "", "media sections"},
		"binary":              {goodOffer, "\x00\x01\x02", "SDP"},
		"no sections":         {goodOffer, "v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", "0 media sections"},
		"no fingerprint":      {"a=fingerprint:sha-256 AA:BB\r\n", "", "fingerprint"},
		"half a fingerprint":  {"sha-256 AA:BB", "sha-256", "malformed fingerprint"},
		"no ufrag":            {"a=ice-ufrag:abcd\r\n", "", "ICE credentials"},
		"no password":         {"a=ice-pwd:0123456789012345678901\r\n", "", "ICE credentials"},
		"a mid twice":         {"a=mid:1", "a=mid:0", "mid"},
		"a long mid":          {"a=mid:1", "a=mid:" + strings.Repeat("m", 17), "mid"},
		"a thousand sections": {"a=sctp-port:5000\r\n", strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", 1000), "media sections"},
		"too long":            {"s=-", "s=" + strings.Repeat("x", MaxDescription), "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(goodOffer, c.old, c.new, 1)
			if text == goodOffer {
				t.Fatal("nothing replaced")
			}
			if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestParseRepairs(t *testing.T) {
	text := strings.Replace(goodOffer, "a=mid:0\r\n", "a=candidate:1 1 udp x y z\r\na=candidate:2 2 udp 1 192.0.2.1 9 typ host\r\n"+
		"a=candidate:3 1 udp 1 192.0.2.1 9 typ host\r\n", 1)
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if d.EndOfCandidates || !parse(t, strings.Replace(text, "a=candidate:3", "a=end-of-candidates\r\na=candidate:3", 1)).EndOfCandidates {
		t.Error("a=end-of-candidates is not read")
	}
	if got := d.Candidates(); len(got) != 1 {
		t.Errorf("candidates %q, want the usable one", got)
	}
	if d.Sections[0].Mid != "0" || msection.Mid(d.sdp.MediaDescriptions[0]) != "0" {
		t.Errorf("the first section has the mid %q, want 0", d.Sections[0].Mid)
	}
}

func TestContinues(t *testing.T) {
	first, err := Parse(goodOffer)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		old, new string
		want     bool
	}{
		"a later version":              {"o=- 42 2", "o=- 42 3", true},
		"an ICE restart":               {"ufrag:abcd", "ufrag:efgh", true},
		"aiortc's new session number":  {"o=- 42 2", "o=- 43 43", true},
		"a page loaded anew":           {"AA:BB", "CC:DD", false},
		"a new call, same certificate": {"o=- 42 2 IN IP4 127.0.0.1\r\ns=-", "o=- 44 2 IN IP4 127.0.0.1\r\ns=new", false},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(goodOffer, c.old, c.new, 1)
			if strings.Contains(c.new, "s=new") {
				text = strings.Replace(text, "ufrag:abcd", "ufrag:efgh", 1)
			}
			d, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Identity.Continues(first.Identity); got != c.want {
				t.Errorf("continues: %v, want %v", got, c.want)
			}
		})
	}
}

// FuzzParse: no description makes it panic, and what is accepted is accepted again as it is
// written.
func FuzzParse(f *testing.F) {
	f.Add(goodOffer)
	f.Add(strings.ReplaceAll(goodOffer, "\r\n", "\n"))
	f.Add("v=0\r\n")
	f.Add("v= o= 00 0 IN\ns=\nt=\nm=audio 0 TLS/RTP/AVP\na=ice-ufrag:0\na=ice-pwd:0\na=fingerprint:0\r00")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		written, err := Marshal(d.SDP())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(written); err != nil {
			t.Errorf("accepted, but not as it is written: %v\n%s", err, written)
		}
	})
}

package msection

import (
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
)

// section returns an m-section of RTP with payload types and attributes, a line each.
func section(t *testing.T, media, formats string, attributes ...string) *sdp.MediaDescription {
	t.Helper()
	d := &sdp.SessionDescription{}
	text := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=" + media + " 9 UDP/TLS/RTP/SAVPF " + formats + "\r\n"
	for _, a := range attributes {
		text += "a=" + a + "\r\n"
	}
	if err := d.UnmarshalString(text); err != nil {
		t.Fatal(err)
	}
	return d.MediaDescriptions[0]
}

// Payload types that Pion does not read are dropped, and the static ones named (RFC 3551 section 6,
// pion/sdp#161).
func TestNameStaticFormats(t *testing.T) {
	const opus = "rtpmap:111 opus/48000/2"
	for name, c := range map[string]struct {
		formats    string
		attributes []string
		want       string
	}{
		"static":            {"111 13", []string{opus}, "111 13"},
		"unnamed":           {"111 77", []string{opus, "fmtp:77 x=1", "rtcp-fb:77 nack"}, "111"},
		"twice":             {"111 111", []string{opus}, "111"},
		"without a clock":   {"111 77", []string{opus, "rtpmap:77 x"}, "111 77"},
		"malformed clock":   {"111 77", []string{opus, "rtpmap:77 x/y"}, "111"},
		"malformed apt":     {"111 77", []string{opus, "rtpmap:77 rtx/90000", "fmtp:77 apt=x"}, "111"},
		"two spaces":        {"111 77", []string{opus, "rtpmap:77  x/8000"}, "111 77"},
		"none that is read": {"77 78", nil, "77"},
	} {
		t.Run(name, func(t *testing.T) {
			m := section(t, "audio", c.formats, c.attributes...)
			NameStaticFormats(m)
			if got := strings.Join(m.MediaName.Formats, " "); got != c.want {
				t.Errorf("got payload types %s, want %s", got, c.want)
			}
			for _, format := range m.MediaName.Formats {
				if rtpmap, _ := formatOf(m, "rtpmap", format); rtpmap == "" || strings.Contains(rtpmap, " ") {
					t.Errorf("payload type %s has the rtpmap %q", format, rtpmap)
				}
			}
			if _, ok := formatOf(m, "rtcp-fb", "77"); ok && !slices.Contains(m.MediaName.Formats, "77") {
				t.Error("attributes of a payload type that was dropped are left")
			}
		})
	}
}

// Offers and answers declare that we receive stereo, whatever the peer declares (RFC 7587 section
// 6.1). Answers declare that we may send it, offers only to a peer that declares the same. Pion
// gets none of the peer's parameters that differ from ours.
func TestOpus(t *testing.T) {
	const receives, sends = "minptime=10;useinbandfec=1;stereo=1", "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1"
	for peers, want := range map[string]struct{ pion, offer string }{
		"":                                      {"", receives},
		"minptime=10;useinbandfec=1":            {"minptime=10;useinbandfec=1", receives},
		"minptime=20;useinbandfec=0":            {"", receives},
		"minptime=20; useinbandfec=1; stereo=1": {"useinbandfec=1;stereo=1", receives},
		"sprop-stereo=1":                        {"sprop-stereo=1", sends},
		"stereo=1;sprop-stereo=1":               {"stereo=1;sprop-stereo=1", sends},
		"stereo=1;sprop-stereo=0":               {"stereo=1;sprop-stereo=0", receives}, // webrtcbin with a mono source
		"stereo=0;maxaveragebitrate=20000":      {"maxaveragebitrate=20000", receives},
	} {
		attributes := []string{"rtpmap:111 opus/48000/2"}
		if peers != "" {
			attributes = append(attributes, "fmtp:111 "+peers)
		}
		pion := section(t, "audio", "111", attributes...)
		MatchOpus(pion)
		if got, _ := formatOf(pion, "fmtp", "111"); got != want.pion {
			t.Errorf("%q: Pion gets %q, want %q", peers, got, want.pion)
		}
		for answer, want := range map[bool]string{true: sends, false: want.offer} {
			ours := section(t, "audio", "111", attributes...)
			MatchOpus(ours) // Pion repeats what it got
			DeclareOpus(ours, answer)
			if got, _ := formatOf(ours, "fmtp", "111"); got != want {
				t.Errorf("%q, answer %t: got %q, want %q", peers, answer, got, want)
			}
		}
	}
}

// Profiles are equal that RFC 6184 has in one row of table 5, and the answer repeats the offer.
func TestH264(t *testing.T) {
	for offered, want := range map[string]string{
		"":                        "packetization-mode=0;profile-level-id=42e01f",
		"profile-level-id=42e01f": "profile-level-id=42e01f;packetization-mode=0",
		"packetization-mode=1":    "packetization-mode=1;profile-level-id=42e01f",
		"packetization-mode=1;profile-level-id=42c028": "packetization-mode=1;profile-level-id=42e028",
		"packetization-mode=1;profile-level-id=42801f": "packetization-mode=1;profile-level-id=42001f",
		"packetization-mode=1;profile-level-id=4d401f": "packetization-mode=1;profile-level-id=4d001f",
		"packetization-mode=1;profile-level-id=4d801f": "packetization-mode=1;profile-level-id=42e01f",
		"packetization-mode=1;profile-level-id=640c1f": "packetization-mode=1;profile-level-id=640c1f",
		"packetization-mode=1;profile-level-id=zz":     "packetization-mode=1;profile-level-id=zz",
	} {
		attributes := []string{"rtpmap:111 H264/90000"}
		if offered != "" {
			attributes = append(attributes, "fmtp:111 "+offered)
		}
		m := section(t, "video", "111", attributes...)
		MatchH264(m)
		if got, _ := formatOf(m, "fmtp", "111"); got != want {
			t.Errorf("%q: Pion gets %q, want %q", offered, got, want)
		}
		AnswerH264(m, section(t, "video", "111", attributes...))
		if got, _ := formatOf(m, "fmtp", "111"); got != offered {
			t.Errorf("the answer has %q, want %q", got, offered)
		}
	}
}

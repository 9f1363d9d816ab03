package jsep

import (
	"slices"
	"strings"
	"testing"
)

// Payload types that Pion does not read are dropped, and the static ones named (RFC 3551 section 6,
// pion/sdp#161).
func TestFormatsForPion(t *testing.T) {
	for name, c := range map[string]struct{ formats, lines, want string }{
		"static":            {"111 13", "", "111 13"},
		"unnamed":           {"111 77", "a=fmtp:77 x=1\r\na=rtcp-fb:77 nack\r\n", "111"},
		"twice":             {"111 111", "", "111"},
		"without a clock":   {"111 77", "a=rtpmap:77 x\r\n", "111 77"},
		"malformed clock":   {"111 77", "a=rtpmap:77 x/y\r\n", "111"},
		"malformed apt":     {"111 77", "a=rtpmap:77 rtx/90000\r\na=fmtp:77 apt=x\r\n", "111"},
		"two spaces":        {"111 77", "a=rtpmap:77  x/8000\r\n", "111 77"},
		"none that is read": {"77 78", "", "77"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(goodOffer, "SAVPF 111\r\n", "SAVPF "+c.formats+"\r\n", 1)
			text = strings.Replace(text, "a=rtpmap:111", c.lines+"a=rtpmap:111", 1)
			pion := parse(t, forPion(t, parse(t, text), PionOptions{}))
			m := pion.sdp.MediaDescriptions[0]
			if got := strings.Join(m.MediaName.Formats, " "); got != c.want {
				t.Errorf("Pion gets the payload types %s, want %s", got, c.want)
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
func TestOpusParameters(t *testing.T) {
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
		text := goodOffer
		if peers != "" {
			text = strings.Replace(goodOffer, "a=rtpmap:111", "a=fmtp:111 "+peers+"\r\na=rtpmap:111", 1)
		}
		offer := parse(t, text)
		pion := forPion(t, offer, PionOptions{})
		if got, _ := formatOf(parse(t, pion).sdp.MediaDescriptions[0], "fmtp", "111"); got != want.pion {
			t.Errorf("%q: Pion gets %q, want %q", peers, got, want.pion)
		}
		answer := parse(t, toWire(t, pion, WireOptions{Offer: offer}))
		if got, _ := formatOf(answer.sdp.MediaDescriptions[0], "fmtp", "111"); got != sends {
			t.Errorf("%q: the answer has %q, want %q", peers, got, sends)
		}
		later := parse(t, toWire(t, pion, WireOptions{})) // Pion repeats what it got
		if got, _ := formatOf(later.sdp.MediaDescriptions[0], "fmtp", "111"); got != want.offer {
			t.Errorf("%q: our next offer has %q, want %q", peers, got, want.offer)
		}
	}
}

// Profiles are equal that RFC 6184 has in one row of table 5, and the answer repeats the offer.
func TestH264Parameters(t *testing.T) {
	video := strings.NewReplacer("m=audio", "m=video", "opus/48000/2", "H264/90000").Replace(goodOffer)
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
		text := video
		if offered != "" {
			text = strings.Replace(video, "a=rtpmap:111", "a=fmtp:111 "+offered+"\r\na=rtpmap:111", 1)
		}
		offer := parse(t, text)
		pion := forPion(t, offer, PionOptions{})
		if got, _ := formatOf(parse(t, pion).sdp.MediaDescriptions[0], "fmtp", "111"); got != want {
			t.Errorf("%q: Pion gets %q, want %q", offered, got, want)
		}
		answer := parse(t, toWire(t, pion, WireOptions{Offer: offer}))
		if got, _ := formatOf(answer.sdp.MediaDescriptions[0], "fmtp", "111"); got != offered {
			t.Errorf("the answer has %q, want %q", got, offered)
		}
	}
}

package jsep

import (
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"parley/peer/internal/msection"
)

// The rejected section names what was offered, and its candidates go with one that is not rejected.
func TestRejectedSectionRepeatsTheOffer(t *testing.T) {
	const head, tail = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", "a=ice-ufrag:a\r\na=ice-pwd:b\r\na=fingerprint:sha-256 AA\r\n"
	offer := head + "m=audio 9 UDP/TLS/RTP/SAVPF 9\r\na=mid:x\r\na=rtpmap:9 G722/8000\r\n" + tail + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:y\r\n"
	answer := head + "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=candidate:1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:y\r\na=sendrecv\r\n"
	want := head + "m=audio 0 UDP/TLS/RTP/SAVPF 9\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:9 G722/8000\r\na=mid:x\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:y\r\na=sendrecv\r\na=candidate:1\r\n"
	if got := toWire(t, answer, WireOptions{Offer: parse(t, offer)}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDataMidIsRenamed(t *testing.T) {
	got := toWire(t, goodOffer, WireOptions{DataMid: "7"})
	if !strings.Contains(got, "a=group:BUNDLE 0 7\r\n") || !strings.Contains(got, "a=mid:7\r\n") || strings.Contains(got, "a=mid:1\r\n") {
		t.Errorf("got\n%s", got)
	}
	if d := parse(t, got); d.Sections[1].Mid != "7" || !strings.Contains(forPion(t, d, PionOptions{WireDataMid: "7", PionDataMid: "1"}), "a=group:BUNDLE 0 1\r\n") {
		t.Errorf("not renamed for Pion: %+v", d.Sections)
	}
}

// An answer has a section for each that was offered, in the offered order and protocol. Pion gets
// neither media that it does not know nor a direction that is not there.
func TestSectionsThatPionDoesNotGet(t *testing.T) {
	const text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE t x 0\r\n" +
		"m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:t\r\na=rtpmap:98 t140/1000\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n" +
		"a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" +
		"m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:d\r\n" +
		"m=application 9 UDP/BFCP *\r\na=mid:b\r\n" +
		"m=audio 9 RTP/SAVPF 111\r\na=mid:x\r\na=rtpmap:111 opus/48000/2\r\n" +
		"m=application 9 DTLS/SCTP 5000\r\na=mid:0\r\na=sctpmap:5000 webrtc-datachannel 1024\r\n"
	offer := parse(t, text)
	if s, ok := FirstActive(offer.Sections); !ok || s.Mid != "x" || s.Index != 3 {
		t.Errorf("the first section that is not rejected is %+v", s)
	}
	pion := parse(t, forPion(t, offer, PionOptions{}))
	if len(pion.Sections) != 2 || pion.Sections[0].Mid != "x" || pion.Sections[1].Mid != "0" {
		t.Fatalf("Pion gets %+v", pion.Sections)
	}
	m := pion.sdp.MediaDescriptions[0]
	for _, key := range []string{"sendrecv", "ice-ufrag", "ice-pwd", "fingerprint", "candidate"} {
		if _, ok := m.Attribute(key); !ok {
			t.Errorf("the first section that Pion gets has no a=%s", key)
		}
	}
	answer := strings.NewReplacer("RTP/SAVPF", "UDP/TLS/RTP/SAVPF", "DTLS/SCTP 5000", "UDP/DTLS/SCTP webrtc-datachannel").Replace(forPion(t, offer, PionOptions{}))
	wire := toWire(t, answer, WireOptions{Offer: offer, Setup: "passive"})
	var lines []string
	for line := range strings.Lines(wire) {
		if strings.HasPrefix(line, "m=") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	want := []string{
		"m=text 0 UDP/TLS/RTP/SAVPF 98", "m=application 0 UDP/DTLS/SCTP webrtc-datachannel", "m=application 0 UDP/BFCP *",
		"m=audio 9 RTP/SAVPF 111", "m=application 9 DTLS/SCTP 5000",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the answer has %q, want %q", lines, want)
	}
	offered, err := Unmarshal(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckAnswer(offered, parse(t, wire)); err != nil {
		t.Error(err)
	}
	// A later offer of ours has them too.
	layout := Layout[int]{}
	layout.Record(offer, []Part[int]{{Description: offer.Whole(), Transport: 1}})
	later, err := ToWire(answer, WireOptions{})
	if err != nil {
		t.Fatal(err)
	}
	later.MediaDescriptions = append(later.MediaDescriptions, &sdp.MediaDescription{MediaName: sdp.MediaName{Media: "video"}}) // without a codec
	layout.Complete(later)
	var mids []string
	for _, m := range later.MediaDescriptions {
		mids = append(mids, msection.Mid(m))
	}
	if !slices.Equal(mids, []string{"t", "d", "b", "x", "0"}) {
		t.Errorf("our offer has the sections %q", mids)
	}
}

// Data channels are answered in the form in which they were offered: aiortc reads the SCTP port of
// DTLS/SCTP from the format.
func TestDataChannelsOfOldForm(t *testing.T) {
	const modern, old = "DTLS/SCTP webrtc-datachannel\r\n", "DTLS/SCTP 5000\r\na=sctpmap:5000 webrtc-datachannel 65535\r\n"
	text := strings.Replace(strings.Replace(goodOffer, "UDP/"+modern, old, 1), "a=sctp-port:5000\r\n", "", 1)
	offered, err := Unmarshal(text)
	if err != nil {
		t.Fatal(err)
	}
	current, err := Unmarshal(strings.Replace(goodOffer, "actpass", "active", 1))
	if err != nil {
		t.Fatal(err)
	}
	noChange, err := NoChangeAnswer(current, offered)
	if err != nil {
		t.Fatal(err)
	}
	same, err := Marshal(noChange)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]string{
		"answer":           toWire(t, goodOffer, WireOptions{Offer: parse(t, text), Setup: "active"}),
		"no-change answer": same,
	} {
		if !strings.Contains(answer, " DTLS/SCTP 5000\r\n") || !strings.Contains(answer, "a=sctpmap:5000 webrtc-datachannel 65535\r\n") ||
			strings.Contains(answer, "sctp-port") {
			t.Errorf("the %s is\n%s", name, answer)
		}
	}
}

// Each part of a description without BUNDLE has the DTLS role and the end of candidates of its
// transport.
func TestRoleOfAPart(t *testing.T) {
	text := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 AA:BB\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:passive\r\na=end-of-candidates\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\na=ice-ufrag:efgh\r\na=ice-pwd:0123456789012345678901\r\na=setup:active\r\n"
	d := parse(t, text)
	audio, video := d.Part([]int{0}), d.Part([]int{1})
	if audio.Setup != "passive" || video.Setup != "active" || !audio.EndOfCandidates || video.EndOfCandidates {
		t.Errorf("audio is %s, %t, video %s, %t", audio.Setup, audio.EndOfCandidates, video.Setup, video.EndOfCandidates)
	}
}

// Header extensions with two-byte headers are not negotiated (RFC 8285 section 4.3).
func TestTwoByteExtensions(t *testing.T) {
	offer := parse(t, strings.Replace(goodOffer, "a=rtcp-mux\r\n", "a=extmap-allow-mixed\r\na=extmap:3 urn:a\r\na=extmap:15 urn:b\r\na=extmap:200 urn:c\r\na=extmap:4100 urn:d\r\n", 1))
	m := parse(t, forPion(t, offer, PionOptions{})).sdp.MediaDescriptions[0]
	if msection.ExtensionID(m, "urn:a") != 3 {
		t.Error("Pion does not get the extension with ID 3")
	}
	for _, uri := range []string{"urn:b", "urn:c", "urn:d"} {
		if id := msection.ExtensionID(m, uri); id != 0 {
			t.Errorf("Pion gets the extension %s with ID %d", uri, id)
		}
	}
}

// FuzzRoundTrip: what Parse accepts can be handed to Pion and answered; both parse again, and the
// answer has the sections of the offer.
func FuzzRoundTrip(f *testing.F) {
	f.Add(goodOffer)
	f.Add(ourOffer)
	f.Add(strings.Replace(goodOffer, "a=mid:0", "a=rid:a send", 1))
	f.Fuzz(func(t *testing.T, text string) {
		offer, err := Parse(text)
		if err != nil || len(offer.Sections) == 0 {
			return
		}
		y := &Synthetic{}
		pion, _, err := offer.Whole().ForPion(PionOptions{Later: true, Synthetic: y, WireDataMid: "0", PionDataMid: "1"})
		if err != nil {
			t.Fatal(err)
		}
		local, err := Unmarshal(pion)
		if err != nil {
			t.Fatalf("Pion cannot read it: %v\n%s", err, pion)
		}
		if len(local.MediaDescriptions) > len(offer.Sections) {
			t.Fatalf("Pion gets %d sections of %d", len(local.MediaDescriptions), len(offer.Sections))
		}
		d, err := ToWire(pion, WireOptions{Offer: offer.Whole(), Setup: "active", Synthetic: y})
		if err != nil {
			t.Fatal(err)
		}
		wire, err := Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Unmarshal(wire)
		if err != nil {
			t.Fatalf("the answer cannot be read: %v\n%s", err, wire)
		}
		if len(again.MediaDescriptions) != len(offer.Sections) {
			t.Errorf("the answer has %d sections, the offer %d", len(again.MediaDescriptions), len(offer.Sections))
		}
	})
}

// Pion gets codecs that it can read and match, and the peer gets its own back.
func TestCodecs(t *testing.T) {
	audio := strings.Replace(goodOffer, "SAVPF 111\r\n", "SAVPF 111 77\r\n", 1)
	audio = strings.Replace(audio, "a=rtpmap:111", "a=rtpmap:77 malformed/clock\r\na=fmtp:111 stereo=0;maxaveragebitrate=20000\r\na=rtpmap:111", 1)
	video := strings.NewReplacer("m=audio", "m=video", "a=rtpmap:111 opus/48000/2", "a=rtpmap:111 H264/90000\r\na=fmtp:111 "+
		"packetization-mode=1;profile-level-id=42c028").Replace(goodOffer)
	for name, c := range map[string]struct{ text, pion, answer, offer string }{
		"audio": {audio, "SAVPF 111\r\n,fmtp:111 maxaveragebitrate=20000\r\n", "fmtp:111 minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1\r\n",
			"fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n"},
		"video": {video, "profile-level-id=42e028\r\n", "profile-level-id=42c028\r\n", "profile-level-id=42e028\r\n"},
	} {
		offer := parse(t, c.text)
		pion := forPion(t, offer, PionOptions{})
		for what, d := range map[string]struct{ got, want string }{
			"Pion gets":         {pion, c.pion},
			"the answer is":     {toWire(t, pion, WireOptions{Offer: offer}), c.answer},
			"our next offer is": {toWire(t, pion, WireOptions{}), c.offer}, // Pion repeats what it got
		} {
			for want := range strings.SplitSeq(d.want, ",") {
				if !strings.Contains(d.got, want) {
					t.Errorf("%s: %s\n%s\nwant %q", name, what, d.got, want)
				}
			}
		}
	}
}

func TestAnswerDirectionFitsTheOffer(t *testing.T) {
	const (
		both, send, recv, none = "sendrecv", "sendonly", "recvonly", "inactive"
	)
	for _, c := range []struct{ offered, pion, want string }{
		{both, both, both}, {both, send, send}, {both, recv, recv}, {both, none, none},
		{send, both, recv}, {send, send, none}, {send, recv, recv},
		{recv, both, send}, {recv, recv, none}, {recv, send, send},
		{none, both, none}, {none, send, none},
	} {
		offer := parse(t, strings.Replace(goodOffer, "a=sendonly", "a="+c.offered, 1))
		answer := strings.Replace(goodOffer, "a=sendonly", "a="+c.pion, 1)
		got := parse(t, toWire(t, answer, WireOptions{Offer: offer})).Sections[0].Direction
		if got.String() != c.want {
			t.Errorf("offered %s, Pion answers %s: got %s, want %s", c.offered, c.pion, got, c.want)
		}
	}
}

func TestHoldIsHiddenFromPion(t *testing.T) {
	d := parse(t, strings.Replace(goodOffer, "a=sendonly", "a=inactive", 1))
	if got := forPion(t, d, PionOptions{Later: true}); strings.Contains(got, "a=inactive") || !strings.Contains(got, "a=recvonly") {
		t.Errorf("Pion gets\n%s", got)
	}
}

func parse(t *testing.T, text string) *Description {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func forPion(t *testing.T, d *Description, o PionOptions) string {
	t.Helper()
	if o.Synthetic == nil {
		o.Synthetic = &Synthetic{}
	}
	text, _, err := d.Whole().ForPion(o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func toWire(t *testing.T, local string, o WireOptions) string {
	t.Helper()
	d, err := ToWire(local, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

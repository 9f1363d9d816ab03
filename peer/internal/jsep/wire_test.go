package jsep

import (
	"strings"
	"testing"
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

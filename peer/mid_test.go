package peer

import (
	"strings"
	"testing"

	"parley/peer/internal/jsep"

	"github.com/pion/webrtc/v4"
)

func TestTheDataSectionOfAnOfferIsNumberZero(t *testing.T) {
	offers := make(chan string, 8)
	a, b := pair(t, func(caller, _ *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo}
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			if kind == "offer" {
				offers <- s
			}
			return s, true
		}
	})
	a.call.Say("hello")
	b.awaitText("hello")
	a.call.RestartICE() // a later offer says the same
	for range 2 {
		offer := <-offers
		d, err := jsep.Parse(offer)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range d.Sections {
			if s.Data != (s.Mid == dataMid) {
				t.Errorf("section %d has the mid %q", s.Index, s.Mid)
			}
		}
		if !strings.Contains(offer, "a=group:BUNDLE v1 a1 0\r\n") {
			t.Errorf("not all sections are bundled:\n%s", offer)
		}
	}
	await(a, func(e PairSelected) bool { return true })
	b.call.Say("and back")
	a.awaitText("and back")
}

// A peer that has named its data channels otherwise keeps that name in our offers.
func TestTheDataSectionKeepsTheNameOfTheirOffer(t *testing.T) {
	page := newOriginalPage(t)
	if _, err := page.pc.AddTrack(testTrack(t, webrtc.MimeTypeOpus)); err != nil { // which comes first, so the data are number 1
		t.Fatal(err)
	}
	s := page.callsTerminal()
	s.must(func(done func(error)) { s.call.AddTrack(testTrack(t, webrtc.MimeTypeVP8), done) })
	if text := page.pc.CurrentRemoteDescription().SDP; !strings.Contains(text, "a=group:BUNDLE 0 1 v1\r\n") {
		t.Errorf("we offer\n%s", text)
	}
}

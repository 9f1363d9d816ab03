package peer

import (
	"regexp"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// What the other side sends without having declared its SSRC belongs to the
// section that it comes by: our next offer has no other one for it.
func TestAnUndeclaredSourceIsNoSection(t *testing.T) {
	heard, listener := listen(t)
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	if _, err := pc.AddTrack(rawTrack(t, webrtc.MimeTypeOpus, "sound")); err != nil {
		t.Fatal(err)
	}
	page := &originalPage{t: t, pc: pc, edit: undeclared}
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c != nil {
			page.peer.DeliverCandidate(c.ToJSON())
		}
	})
	track := testTrack(t, webrtc.MimeTypeOpus)
	s := newSide(t, "terminal", Config{Signaler: page, OnEvent: listener, Tracks: []webrtc.TrackLocal{track}})
	page.peer = s.call
	s.start()
	page.call()
	heard.hears("sound")
	page.edit = func(text string) string { return text } // webrtcbin declares them in its answers
	if e := await(s, func(TrackReceived) bool { return true }); e.Local != track {
		t.Errorf("it came beside %v, want the track in its section", e.Local)
	}
	s.must(func(done func(error)) { s.call.AddTrack(testTrack(t, webrtc.MimeTypeVP8), done) })
	if text := pc.CurrentRemoteDescription().SDP; strings.Count(text, "\r\nm=") != 2 || !regexp.MustCompile("a=group:BUNDLE 0 [0-9]+\r\n").MatchString(text) {
		t.Errorf("we offer\n%s", text)
	}
	heard.hears("sound")
}

// undeclared is a description without SSRCs.
func undeclared(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "a=ssrc") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// Sound and picture of somebody who agrees to MIDs and declares no SSRC are told
// apart, whoever calls, and the call can be changed from both sides afterwards.
func TestUndeclaredSourcesBesideMIDs(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		for _, c := range []*Config{caller, answerer} {
			c.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}
			c.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
				if n := strings.Count(s, "\r\nm="); kind == "offer" || kind == "answer" {
					if s = undeclared(s); n != 3 && n != 0 {
						t.Errorf("there are %d sections in the %s", n, kind)
					}
				}
				return s, true
			}
		}
	})
	for _, s := range []*side{a, b} {
		s.awaitConnected()
		feed(t, s)
	}
	for _, s := range []*side{a, b} {
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			e := await(s, func(e TrackReceived) bool { return e.Track.Kind() == kind })
			if e.Local == nil || e.Local.Kind() != kind {
				t.Errorf("%s: the section of the received %s sends %v", s.name, kind, e.Local)
			}
		}
	}
	for _, s := range []*side{a, b} {
		s.must(func(done func(error)) { s.call.Hold(true, done) })
		s.must(func(done func(error)) { s.call.Hold(false, done) })
	}
}

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
	page := newBarePeer(t)
	page.edit = undeclared
	if _, err := page.pc.AddTrack(rawTrack(t, webrtc.MimeTypeOpus, "sound")); err != nil {
		t.Fatal(err)
	}
	track := testTrack(t, webrtc.MimeTypeOpus)
	s := newSide(t, "terminal", Config{Signaler: page, OnEvent: listener, Media: MediaConfig{Tracks: []webrtc.TrackLocal{track}}})
	page.peer = s.call
	s.start()
	page.call()
	heard.hears("sound")
	page.edit = func(text string) string { return text } // webrtcbin declares them in its answers
	if e := await(s, func(TrackReceived) bool { return true }); e.Local != track {
		t.Errorf("it came beside %v, want the track in its section", e.Local)
	}
	s.must(func(done func(error)) { s.call.AddTrack(testTrack(t, webrtc.MimeTypeVP8), done) })
	if text := page.pc.CurrentRemoteDescription().SDP; strings.Count(text, "\r\nm=") != 2 || !regexp.MustCompile("a=group:BUNDLE 0 v1\r\n").MatchString(text) {
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

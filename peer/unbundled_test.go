package peer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// unbundledPeer offers a data channel and audio on a transport each, as
// GStreamer's webrtcbin does by default.
type unbundledPeer struct {
	t   *testing.T
	pcs []*webrtc.PeerConnection
}

func newUnbundledPeer(t *testing.T) *unbundledPeer {
	p := &unbundledPeer{t: t}
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	for range 2 {
		pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pc.GracefulClose() })
		p.pcs = append(p.pcs, pc)
	}
	return p
}

// offer is one description of two connections' offers, with their candidates.
func (p *unbundledPeer) offer() string {
	var session, sections string
	for i, pc := range p.pcs {
		offer, err := pc.CreateOffer(nil)
		if err != nil {
			p.t.Fatal(err)
		}
		complete := webrtc.GatheringCompletePromise(pc)
		if err := pc.SetLocalDescription(offer); err != nil {
			p.t.Fatal(err)
		}
		<-complete
		text := strings.ReplaceAll(pc.LocalDescription().SDP, "a=mid:0", fmt.Sprintf("a=mid:s%d", i))
		head, section, _ := strings.Cut(text, "\r\nm=")
		for _, line := range strings.Split(head, "\r\n") {
			switch {
			case strings.HasPrefix(line, "a=group"):
			case strings.HasPrefix(line, "a=fingerprint"): // a certificate each
				section += line + "\r\n"
			case i == 0:
				session += line + "\r\n"
			}
		}
		sections += "m=" + section
	}
	return session + sections
}

// answered gives each connection its section of the answer.
func (p *unbundledPeer) answered(text string) {
	d, err := Describe(text)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(d.parts) != 2 || strings.Contains(text, "a=group:BUNDLE") {
		p.t.Fatalf("the answer has %d transports, want 2:\n%s", len(d.parts), text)
	}
	for i, pc := range p.pcs {
		text := strings.ReplaceAll(d.parts[i].sdp, fmt.Sprintf("a=mid:s%d", i), "a=mid:0")
		text = strings.ReplaceAll(text, fmt.Sprintf("BUNDLE s%d", i), "BUNDLE 0")
		if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: text}); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestAnOfferWithoutBundle(t *testing.T) {
	p := newUnbundledPeer(t)
	channel, err := p.pcs[0].CreateDataChannel("data", nil)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	channel.OnMessage(func(m webrtc.DataChannelMessage) { heard <- string(m.Data) })
	if _, err := p.pcs[1].AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan string, 1)
	p.pcs[1].OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { arrived <- track.Codec().MimeType })

	answers := make(chan string, 1)
	s := newSide(t, "terminal", Config{
		Tracks: []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeOpus)},
		Signaler: &wire{filter: func(kind, text string) (string, bool) {
			if kind == "answer" {
				answers <- text
			}
			return text, false
		}},
	})
	s.call.Say("hello")
	s.start()
	s.call.DeliverOffer(p.offer())
	p.answered(<-answers)
	s.awaitConnected()
	if got := <-heard; got != "hello" {
		t.Errorf("the data channel said %q", got)
	}
	feed(t, s)
	if got := <-arrived; got != webrtc.MimeTypeOpus {
		t.Errorf("the other transport brings %s", got)
	}
	staysAsItIs(t, s)
}

// staysAsItIs wants to change a call that cannot be, is told so, and finds nothing
// changed.
func staysAsItIs(t *testing.T, s *side) {
	t.Helper()
	track := s.call.cfg.Tracks[0]
	for name, change := range map[string]func(func(error)){
		"add":     func(done func(error)) { s.call.AddTrack(testTrack(t, webrtc.MimeTypeVP8), done) },
		"remove":  func(done func(error)) { s.call.RemoveTrack(track, done) },
		"hold":    func(done func(error)) { s.call.Hold(true, done) },
		"restart": s.call.Restart,
		"replace": func(done func(error)) {
			s.call.ReplaceTrack(track, codedTrack{testTrack(t, webrtc.MimeTypePCMU)}, done)
		},
	} {
		if err := changing(s, change); err != errNotBundled {
			t.Errorf("%s: %v, want %v", name, err, errNotBundled)
		}
	}
	for _, o := range s.call.Stats().Report.of("outbound-rtp") {
		if o["active"] != true {
			t.Errorf("the %s is not sent any more", o["kind"])
		}
	}
	other := testTrack(t, webrtc.MimeTypeOpus)
	s.must(func(done func(error)) { s.call.ReplaceTrack(track, other, done) })
	s.must(func(done func(error)) { s.call.Mute(other, true, done) })
}

// codedTrack tells its codec.
type codedTrack struct{ *webrtc.TrackLocalStaticSample }

func (c codedTrack) Codec() string { return c.TrackLocalStaticSample.Codec().MimeType }

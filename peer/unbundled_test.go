package peer

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/peer/internal/jsep"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// unbundledPeer offers a data channel and audio on a transport each, as
// GStreamer's webrtcbin does by default.
type unbundledPeer struct {
	t   *testing.T
	pcs []*webrtc.PeerConnection
	// rejected are the sections by index that are not in use any more.
	rejected map[int]string
}

func newUnbundledPeer(t *testing.T) *unbundledPeer {
	p := &unbundledPeer{t: t, rejected: map[int]string{}}
	p.extend()
	p.extend()
	return p
}

// extend gives it one more transport.
func (p *unbundledPeer) extend() *webrtc.PeerConnection {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = pc.GracefulClose() })
	p.pcs = append(p.pcs, pc)
	return pc
}

// offer is one description of all connections' offers, with their candidates.
func (p *unbundledPeer) offer() string {
	var session, sections string
	for i, pc := range p.pcs {
		if section, ok := p.rejected[i]; ok {
			sections += section
			continue
		}
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
		first := session == ""
		for _, line := range strings.Split(head, "\r\n") {
			switch {
			case strings.HasPrefix(line, "a=group"):
			case strings.HasPrefix(line, "a=fingerprint"): // a certificate each
				section += line + "\r\n"
			case first:
				session += line + "\r\n"
			}
		}
		sections += "m=" + section
	}
	return session + sections
}

// answered gives each connection its section of the answer.
func (p *unbundledPeer) answered(text string) {
	d, err := jsep.Parse(text)
	if err != nil {
		p.t.Fatal(err)
	}
	parts := d.Transports()
	if len(parts) != len(p.pcs)-len(p.rejected) || strings.Contains(text, "a=group:BUNDLE") {
		p.t.Fatalf("the answer has %d transports, want %d:\n%s", len(parts), len(p.pcs), text)
	}
	for i, pc := range p.pcs {
		if _, ok := p.rejected[i]; ok {
			continue
		}
		text := strings.ReplaceAll(asText(p.t)(d.Part(parts[0]).SDP(), nil), fmt.Sprintf("a=mid:s%d", i), "a=mid:0")
		text = strings.ReplaceAll(text, fmt.Sprintf("BUNDLE s%d", i), "BUNDLE 0")
		parts = parts[1:]
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
	received := make(chan string, 1)
	channel.OnMessage(func(m webrtc.DataChannelMessage) { received <- string(m.Data) })
	if _, err := p.pcs[1].AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan string, 1)
	p.pcs[1].OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { arrived <- track.Codec().MimeType })

	answers := make(chan string, 1)
	s := newSide(t, "terminal", Config{
		Media: MediaConfig{Tracks: []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeOpus)}},
		Signaler: &wire{filter: func(kind, text string) (string, bool) {
			if kind == "answer" {
				answers <- text
			}
			return text, false
		}},
	})
	s.call.Say("hello")
	s.start()
	s.call.DeliverOffer(SessionDescription{SDP: p.offer()})
	p.answered(<-answers)
	s.awaitConnected()
	if got := <-received; got != "hello" {
		t.Errorf("the data channel said %q", got)
	}
	feed(t, s)
	if got := <-arrived; got != webrtc.MimeTypeOpus {
		t.Errorf("the other transport brings %s", got)
	}
}

// unbundledCall is a call from a peer without BUNDLE, and what it is answered.
func unbundledCall(t *testing.T, p *unbundledPeer, cfg Config) (*side, chan string) {
	t.Helper()
	answers := make(chan string, 8)
	cfg.Signaler = &wire{filter: func(kind, text string) (string, bool) {
		if kind == "answer" {
			answers <- text
		}
		return text, false
	}}
	s := newSide(t, "terminal", cfg)
	s.start()
	s.call.DeliverOffer(SessionDescription{SDP: p.offer()})
	p.answered(<-answers)
	s.awaitConnected()
	return s, answers
}

// mixedPeer has a transport for data and one for audio.
func mixedPeer(t *testing.T) *unbundledPeer {
	p := newUnbundledPeer(t)
	_, err := p.pcs[0].CreateDataChannel("data", nil)
	if err == nil {
		_, err = p.pcs[1].AddTransceiverFromKind(webrtc.RTPCodecTypeAudio)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A transport that the peer adds in a call, with a certificate of its own,
// is answered by one more connection, and goes when its section is rejected.
func TestTransportIsAddedAndClosed(t *testing.T) {
	p := mixedPeer(t)
	received, on := recordPackets(t)
	s, answers := unbundledCall(t, p, Config{Media: MediaConfig{Tracks: []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeOpus)}}, OnEvent: on})
	for n := range 2 {
		pc := p.extend()
		if _, err := pc.AddTrack(rawTrack(t, webrtc.MimeTypeVP8, fmt.Sprint("video", n))); err != nil {
			t.Fatal(err)
		}
		s.call.DeliverOffer(SessionDescription{SDP: p.offer()})
		p.answered(<-answers)
		received.await(fmt.Sprint("video", n))
		if got := happenings(s, func(VerificationCode) bool { return true }); got != n+2 {
			t.Errorf("%d verification codes, want %d", got, n+2)
		}
		if got := s.transports(); got != 3 {
			t.Errorf("%d transports, want 3", got)
		}
		p.rejected[2+n] = fmt.Sprintf("m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 VP8/90000\r\na=mid:s%d\r\n", 2+n)
		s.call.DeliverOffer(SessionDescription{SDP: p.offer()})
		p.answered(<-answers)
		if got := s.transports(); got != 2 {
			t.Errorf("%d transports, want 2", got)
		}
	}
	if n := happenings(s, func(e StateChanged) bool {
		return e.State != webrtc.PeerConnectionStateConnected && e.State != webrtc.PeerConnectionStateConnecting
	}); n > 0 {
		t.Errorf("the call was gone for a while:%s", s.summary())
	}
}

// Who relies on the verification code takes no certificate that is not in it.
func TestACertificateThatIsNotInTheCode(t *testing.T) {
	p := mixedPeer(t)
	s, answers := unbundledCall(t, p, Config{Verification: VerificationConfig{Required: true}})
	if _, err := p.extend().AddTransceiverFromKind(webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	s.call.DeliverOffer(SessionDescription{SDP: p.offer()})
	if answer := <-answers; !strings.Contains(answer, "\r\nm=video 0 ") || strings.Contains(answer, "a=group:BUNDLE") {
		t.Errorf("it is answered by\n%s", answer)
	}
}

// A peer that floods a data channel and then rejects its section does not stop the call: closing a
// connection of the call does not wait for messages that wait for the call.
func TestRejectedDataSectionDuringFlood(t *testing.T) {
	p := newUnbundledPeer(t)
	flood, err := p.pcs[0].CreateDataChannel("data", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.pcs[1].AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	flood.OnOpen(func() { close(opened) })
	flooded, goOn := make(chan *datachannel.Channel), make(chan struct{})
	var first sync.Once
	s, answers := unbundledCall(t, p, Config{OnEvent: func(e Event) {
		if e, ok := e.(MessageReceived); ok {
			first.Do(func() { flooded <- e.Channel; <-goOn })
		}
	}})
	<-opened
	for range 300 {
		if err := flood.SendText("flood"); err != nil {
			t.Fatal(err)
		}
	}
	ch := <-flooded
	stuck := func() bool { return flood.BufferedAmount() == 0 && ch.Stats().MessagesReceived >= maxQueuedData+2 }
	for deadline := time.Now().Add(deadline); !stuck(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d messages were received", ch.Stats().MessagesReceived)
		}
	}
	p.rejected[0] = "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:s0\r\na=sctp-port:5000\r\n"
	s.call.DeliverOffer(SessionDescription{SDP: p.offer()})
	close(goOn)
	select {
	case text := <-answers:
		p.answered(text)
	case <-time.After(10 * time.Second):
		t.Fatal("the offer is not answered") // and the call cannot be ended
	}
	await(s, func(e ChannelClosed) bool { return e.Channel == ch })
	s.call.Hangup()
	if end, err := s.awaitEnd(); end != Left || err != nil {
		t.Errorf("the call ended with %v, %v", end, err)
	}
}

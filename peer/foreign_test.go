package peer

import (
	"context"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/peer/internal/jsep"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// askedTrack reports when it is asked for a key frame.
type askedTrack struct {
	*webrtc.TrackLocalStaticSample
	asked chan struct{}
}

func (a *askedTrack) RequestKeyFrame() {
	select {
	case a.asked <- struct{}{}:
	default:
	}
}

func pli(t *webrtc.TrackRemote) []rtcp.Packet {
	return []rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(t.SSRC())}}
}

// originalPage behaves as the original text page of the wire's description: it
// opens its own channel1 before any offer, and receives and speaks on that alone.
type originalPage struct {
	t        *testing.T
	pc       *webrtc.PeerConnection
	channel  *webrtc.DataChannel
	peer     *Call
	received chan string
	opened   chan struct{}
	edit     func(description string) string // of what it sends

	mu    sync.Mutex // protects following
	early []webrtc.ICECandidateInit
	ready bool
}

func newOriginalPage(t *testing.T) *originalPage {
	t.Helper()
	p := newBarePeer(t)
	channel, err := p.pc.CreateDataChannel("channel1", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.channel = channel
	channel.OnOpen(func() { close(p.opened) })
	channel.OnMessage(func(m webrtc.DataChannelMessage) { p.received <- string(m.Data) })
	return p
}

// newBarePeer is such a page without a channel.
func newBarePeer(t *testing.T) *originalPage {
	t.Helper()
	return newBarePeerWith(t, webrtc.SettingEngine{})
}

func newBarePeerWith(t *testing.T, settings webrtc.SettingEngine) *originalPage {
	t.Helper()
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	p := &originalPage{t: t, pc: pc, received: make(chan string, 16), opened: make(chan struct{}),
		edit: func(s string) string { return s }}
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.ready {
			p.early = append(p.early, c.ToJSON())
			return
		}
		p.peer.DeliverCandidate(c.ToJSON())
	})
	return p
}

// described lets the candidates go, after the description.
func (p *originalPage) described() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = true
	for _, c := range p.early {
		p.peer.DeliverCandidate(c)
	}
}

func (p *originalPage) call() {
	offer, err := p.pc.CreateOffer(nil)
	if err == nil {
		err = p.pc.SetLocalDescription(offer)
	}
	if err != nil {
		p.t.Error(err)
	}
	p.peer.DeliverOffer(SessionDescription{SDP: p.edit(offer.SDP)})
	p.described()
}

func (p *originalPage) Offer(_ context.Context, d SessionDescription) error {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: d.SDP}); err != nil {
		return err
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return err
	}
	p.peer.DeliverAnswer(SessionDescription{SDP: p.edit(answer.SDP)})
	p.described()
	return nil
}

func (p *originalPage) Answer(_ context.Context, d SessionDescription) error {
	return p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: d.SDP})
}

func (p *originalPage) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	return p.pc.AddICECandidate(c)
}

func (p *originalPage) Leave(context.Context) error { return nil }

func (p *originalPage) awaitReceived(want string) {
	p.t.Helper()
	select {
	case got := <-p.received:
		if got != want {
			p.t.Errorf("the page received %q, want %q", got, want)
		}
	case <-time.After(deadline):
		p.t.Fatalf("the page did not receive %q", want)
	}
}

// callsTerminal makes the page call a terminal, and waits until they are
// connected.
func (p *originalPage) callsTerminal() *side {
	p.t.Helper()
	return p.callsTerminalBy(func(s Signaler) Signaler { return s }, nil)
}

// callsTerminalBy is callsTerminal with another way of the terminal's messages, and of its
// configuration.
func (p *originalPage) callsTerminalBy(way func(Signaler) Signaler, edit func(*Config)) *side {
	p.t.Helper()
	cfg := Config{Signaler: way(p)}
	if edit != nil {
		edit(&cfg)
	}
	s := newSide(p.t, "terminal", cfg)
	p.peer = s.call
	s.start()
	p.call()
	s.awaitConnected()
	<-p.opened
	return s
}

func TestOriginalTextPageIsCalled(t *testing.T) {
	page := newOriginalPage(t)
	s := newSide(t, "terminal", Config{Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: page})
	page.peer = s.call
	s.call.Say("hello page")
	s.start()
	page.awaitReceived("hello page")
	<-page.opened
	if err := page.channel.SendText("hello terminal"); err != nil {
		t.Fatal(err)
	}
	s.awaitText("hello terminal")
}

func TestOriginalTextPageCalls(t *testing.T) {
	page := newOriginalPage(t)
	s := newSide(t, "terminal", Config{Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: page})
	page.peer = s.call
	s.call.Say("hello page")
	s.start()
	page.call()
	page.awaitReceived("hello page")
	if err := page.channel.SendText("hello terminal"); err != nil {
		t.Fatal(err)
	}
	s.awaitText("hello terminal")
}

// TestLitePeer checks that a pair is nominated before Pion looks for one after checkInterval, as it
// does in two of three calls: an ICE-lite peer sends no checks, by which Pion would notice a pair
// earlier.
func TestLitePeer(t *testing.T) {
	const calls = 20
	var took []time.Duration
	for range calls {
		var settings webrtc.SettingEngine
		settings.SetLite(true)
		page := newBarePeerWith(t, settings)
		at := map[webrtc.ICEConnectionState]time.Time{}
		s := newSide(t, "terminal", Config{
			Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: page,
			OnEvent: func(e Event) {
				if e, ok := e.(ICEStateChanged); ok {
					at[e.State] = time.Now()
				}
			},
		})
		page.peer = s.call
		end := s.run()
		await(s, func(e ICEStateChanged) bool { return e.State == webrtc.ICEConnectionStateConnected })
		await(s, func(ChannelOpened) bool { return true })
		end()
		took = append(took, at[webrtc.ICEConnectionStateConnected].Sub(at[webrtc.ICEConnectionStateChecking]))
	}
	slices.Sort(took)
	if took[calls/2] > checkInterval*3/4 {
		t.Errorf("ICE took %v, want a median below %v", took, checkInterval)
	}
}

// A peer that takes no candidates one by one gets them all in the answer.
func TestPeerWithoutTrickle(t *testing.T) {
	page := newOriginalPage(t)
	var answers []string
	record := &wire{filter: func(kind, s string) (string, bool) {
		if kind != "leave" {
			answers = append(answers, kind+" "+s)
		}
		return s, false
	}}
	s := newSide(t, "terminal", Config{Signaler: signalers{record, page}})
	page.peer = s.call
	offer, err := page.pc.CreateOffer(nil) // Pion offers no trickle by default
	if err != nil {
		t.Fatal(err)
	}
	complete := webrtc.GatheringCompletePromise(page.pc)
	if err := page.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-complete
	s.start()
	s.call.DeliverOffer(SessionDescription{SDP: page.pc.LocalDescription().SDP})
	s.awaitConnected()
	s.stop()
	s.awaitEnd()
	if len(answers) != 1 || !strings.HasPrefix(answers[0], "answer ") || !strings.Contains(answers[0], "a=candidate:") {
		t.Errorf("sent %q, want one answer with candidates", answers)
	}
}

// Unreachable STUN and TURN servers delay the answer to a peer without trickle by a second at most.
// Candidates that come later are not sent, as the peer does not take them.
func TestUnreachableServersDoNotDelayTheAnswer(t *testing.T) {
	udp := must(net.ListenPacket("udp4", "127.0.0.1:0"))(t)
	defer udp.Close()
	tcp := must(net.Listen("tcp4", "127.0.0.1:0"))(t) // the kernel accepts, nothing answers
	defer tcp.Close()
	turn := "turn:" + udp.LocalAddr().String()
	without := answerTime(t, nil)
	with := answerTime(t, []webrtc.ICEServer{
		{URLs: []string{"stun:" + udp.LocalAddr().String()}},
		{URLs: []string{turn + "?transport=udp", "turn:" + tcp.Addr().String() + "?transport=tcp"}, Username: "u", Credential: "p"},
	})
	if delay := with - without; delay > time.Second {
		t.Errorf("the answer took %v, %v without servers; want a delay of at most 1 s", with, without)
	}
}

// answerTime returns how long the answer to a page without trickle takes.
func answerTime(t *testing.T, servers []webrtc.ICEServer) time.Duration {
	t.Helper()
	page := newOriginalPage(t)
	var answers []string
	answered := make(chan struct{})
	once := sync.OnceFunc(func() { close(answered) })
	record := &wire{filter: func(kind, s string) (string, bool) {
		if kind != "leave" {
			answers = append(answers, kind+" "+s)
			once()
		}
		return s, false
	}}
	s := newSide(t, "terminal", Config{Signaler: signalers{record, page}, ICE: ICEConfig{Servers: servers}})
	page.peer = s.call
	offer := must(page.pc.CreateOffer(nil))(t)
	complete := webrtc.GatheringCompletePromise(page.pc)
	if err := page.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-complete
	s.start()
	start := time.Now()
	s.call.DeliverOffer(SessionDescription{SDP: page.pc.LocalDescription().SDP})
	<-answered
	took := time.Since(start)
	s.awaitConnected()
	s.stop()
	s.awaitEnd()
	if len(answers) != 1 || !strings.HasPrefix(answers[0], "answer ") || !strings.Contains(answers[0], "a=candidate:") {
		t.Errorf("sent %q, want one answer with candidates", answers)
	}
	return took
}

// signalers reports several.
type signalers []Signaler

func (all signalers) each(do func(Signaler) error) error {
	for _, s := range all {
		if err := do(s); err != nil {
			return err
		}
	}
	return nil
}

func (all signalers) Offer(ctx context.Context, d SessionDescription) error {
	return all.each(func(s Signaler) error { return s.Offer(ctx, d) })
}
func (all signalers) Answer(ctx context.Context, d SessionDescription) error {
	return all.each(func(s Signaler) error { return s.Answer(ctx, d) })
}
func (all signalers) Candidate(ctx context.Context, c webrtc.ICECandidateInit) error {
	return all.each(func(s Signaler) error { return s.Candidate(ctx, c) })
}
func (all signalers) Leave(ctx context.Context) error {
	return all.each(func(s Signaler) error { return s.Leave(ctx) })
}

// Chromium fails a call in which the DTLS role changes with a new offer.
func TestTheDTLSRoleStaysInALaterOffer(t *testing.T) {
	setup := regexp.MustCompile(`a=setup:(\w+)`)
	page := newOriginalPage(t)
	var answers []string
	record := &wire{filter: func(kind, s string) (string, bool) {
		if kind == "answer" {
			answers = append(answers, setup.FindStringSubmatch(s)[1])
		}
		return s, false
	}}
	s := newSide(t, "terminal", Config{Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: signalers{record, page}})
	page.peer = s.call
	s.start()
	s.awaitConnected()
	first := setup.FindStringSubmatch(page.pc.LocalDescription().SDP)[1]
	<-page.opened
	page.call() // again, now from the page
	if err := page.channel.SendText("after"); err != nil {
		t.Fatal(err)
	}
	s.awaitText("after")
	s.stop()
	s.awaitEnd()
	if want := []string{jsep.OppositeSetup(first)}; !slices.Equal(answers, want) {
		t.Errorf("the page was %s at first; later answers say %v, want %v", first, answers, want)
	}
}

// libdatachannel groups audio and video for lip sync.
func TestAnOfferWithAnotherGroup(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			if kind == "offer" {
				s = strings.Replace(s, "\r\nm=", "\r\na=group:LS a1\r\nm=", 1)
			}
			return s, true
		}
	})
	a.call.Say("hello")
	b.awaitText("hello")
}

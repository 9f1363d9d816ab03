package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

var errNoSignaling = errors.New("the signaling server is gone")

// unreliable is a Signaler that fails while it is down.
type unreliable struct {
	Signaler
	down atomic.Bool
}

func (u *unreliable) Offer(ctx context.Context, d SessionDescription) error {
	if u.down.Load() {
		return errNoSignaling
	}
	return u.Signaler.Offer(ctx, d)
}

func (u *unreliable) Candidate(ctx context.Context, c webrtc.ICECandidateInit) error {
	if u.down.Load() {
		return errNoSignaling
	}
	return u.Signaler.Candidate(ctx, c)
}

// While the path is down and signaling too, a request to restart ICE does not end the call.
func TestRestartWhileDisconnectedWithoutSignaling(t *testing.T) {
	l := newLab(t)
	var signaler *unreliable
	a, b := l.pair(t, func(caller, answerer *Config) {
		signaler = &unreliable{Signaler: caller.Signaler}
		caller.Signaler = signaler
		caller.Timeouts.Failed, answerer.Timeouts.Failed = time.Minute, time.Minute
	})
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	signaler.down.Store(true)
	l.down.Store(true)
	a.awaitState(webrtc.PeerConnectionStateDisconnected)
	a.call.RestartICE()
	await(a, func(w Warned) bool { return strings.Contains(w.Text, errNoSignaling.Error()) })
	l.down.Store(false)
	a.awaitConnected()
	a.call.Say("still here")
	b.awaitText("still here")
}

// lossy loses offers.
type lossy struct {
	Signaler
	drop *atomic.Bool
}

func (l *lossy) Offer(ctx context.Context, d SessionDescription) error {
	if l.drop.Load() {
		return nil
	}
	return l.Signaler.Offer(ctx, d)
}

// ignoringPeer is a peer that ignores an offer that crosses its own.
type ignoringPeer struct{ *originalPage }

func (p ignoringPeer) Offer(ctx context.Context, d SessionDescription) error {
	if p.pc.SignalingState() != webrtc.SignalingStateStable {
		return nil
	}
	return p.originalPage.Offer(ctx, d)
}

// More candidates than one ICE session may have are dropped, and those of the next session are not.
func TestCandidatesAfterARestart(t *testing.T) {
	a, b := pair(t, nil)
	a.awaitConnected()
	b.awaitConnected()
	for n := range maxCandidates + 1 {
		line := fmt.Sprintf("candidate:%d 1 udp 1 192.0.2.1 %d typ host", n, 1024+n)
		mid := "0"
		b.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: line, SDPMid: &mid})
	}
	await(b, func(w Warned) bool { return strings.Contains(w.Text, "candidates") })
	b.forget()
	a.must(a.call.Restart)
	await(b, func(e CandidateFound) bool { return e.Remote })
}

// A caller without channels names the section of a track so that the data channels, which come
// later, can have theirs.
func TestChannelAfterATrack(t *testing.T) {
	a, b := pair(t, func(caller, _ *Config) {
		caller.Channels = nil
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
	})
	a.awaitConnected()
	b.awaitConnected()
	a.must(func(ctx context.Context) error { return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "video")) })
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	ch, err := a.call.OpenChannel(ctx, datachannel.Options{Label: "late"})
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Send([]byte("hello"), true); err != nil {
		t.Fatal(err)
	}
	b.awaitText("hello")
}

// What was said and could not be sent is reported when the call ends.
func TestTextThatWaitsIsReportedAtTheEnd(t *testing.T) {
	for name, hold := range map[string]bool{"no channel": false, "not verified": true} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Verification.Required = hold
				if !hold {
					caller.Channels = nil
					caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
				}
			})
			a.awaitConnected()
			b.awaitConnected()
			if hold {
				await(a, func(ChannelOpened) bool { return true })
			}
			a.call.Say("unsent")
			a.call.Hangup()
			a.awaitEnd()
			await(a, func(e TextRejected) bool { return e.Text == "unsent" })
			if n := happenings(a, func(TextSent) bool { return true }); n > 0 {
				t.Error("it is reported as sent as well")
			}
		})
	}
}

// Text that was given to Say just before the call ended is reported, too.
func TestTextBesideTheEndIsReported(t *testing.T) {
	for name, end := range map[string]func(*Call){"hang-up": (*Call).Hangup, "leave of the peer": (*Call).DeliverLeave} {
		t.Run(name, func(t *testing.T) {
			calls := make(chan *Call, 1)
			a, _ := pair(t, func(caller, _ *Config) {
				caller.OnEvent = func(e Event) {
					if s, ok := e.(StateChanged); ok && s.State == webrtc.PeerConnectionStateConnected { // on the goroutine of Run
						call := <-calls
						end(call)
						call.Say("late")
					}
				}
			})
			calls <- a.call
			a.awaitEnd()
			await(a, func(e TextRejected) bool { return e.Text == "late" && e.Reason == ErrOver })
		})
	}
}

// End-of-candidates is sent to a parley (RFC 8838 section 13), and not to a peer that has not shown
// that it understands it.
func TestEndOfCandidates(t *testing.T) {
	type end struct {
		by        string
		restarted bool
	}
	ends := make(chan end, 16)
	var restarted atomic.Bool
	a, b := pair(t, func(caller, answerer *Config) {
		for name, c := range map[string]*Config{"caller": caller, "answerer": answerer} {
			c.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
				if kind == "candidate" && text == "" {
					ends <- end{name, restarted.Load()}
				}
				return text, true
			}
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	for <-ends != (end{"answerer", false}) { // the caller may gather all before it knows the peer, and sends none then
	}
	restarted.Store(true)
	a.must(a.call.Restart)
	for <-ends != (end{"caller", true}) {
	}
	page := newOriginalPage(t)
	var empty atomic.Int32
	s := page.callsTerminalBy(func(next Signaler) Signaler {
		return signalers{next, &wire{filter: func(kind, text string) (string, bool) {
			if kind == "candidate" && text == "" {
				empty.Add(1)
			}
			return "", false
		}}}
	}, nil)
	await(s, func(GatheringComplete) bool { return true })
	if empty.Load() > 0 {
		t.Error("end-of-candidates was sent to a page that has not sent it")
	}
}

// TestPionTakesICECredentials fails if Pion does not let us choose the credentials of an ICE
// restart any more, see settingsOf.
func TestPionTakesICECredentials(t *testing.T) {
	api := webrtc.NewAPI()
	settings, err := settingsOf(api)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.GracefulClose() }()
	if _, err := pc.CreateDataChannel("", nil); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err == nil {
		err = pc.SetLocalDescription(offer)
	}
	if err != nil {
		t.Fatal(err)
	}
	ufrag, pwd := newICECredentials()
	settings.SetICECredentials(ufrag, pwd)
	restarted, err := pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := attributeOf(restarted.SDP, "ice-ufrag"); got != ufrag {
		t.Errorf("Pion restarts with %q, want %q", got, ufrag)
	}
	if got := attributeOf(restarted.SDP, "ice-pwd"); got != pwd {
		t.Errorf("Pion restarts with the password %q, want %q", got, pwd)
	}
	if got := attributeOf(offer.SDP, "ice-ufrag"); got == ufrag || got == "" {
		t.Errorf("Pion began with %q", got)
	}
}

// A peer without trickle ICE gets all candidates in the answer to a later offer too, when that
// restarts ICE.
func TestLaterAnswerWithoutTrickleHasCandidates(t *testing.T) {
	page := newOriginalPage(t)
	answers := make(chan string, 4)
	s := page.callsTerminalBy(func(next Signaler) Signaler {
		return signalers{&wire{filter: func(kind, text string) (string, bool) {
			if kind == "answer" {
				answers <- text
			}
			return "", false
		}}, next}
	}, nil)
	<-answers
	offer, err := page.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true}) // Pion offers no trickle by default
	if err != nil {
		t.Fatal(err)
	}
	complete := webrtc.GatheringCompletePromise(page.pc)
	if err := page.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-complete
	s.call.DeliverOffer(SessionDescription{SDP: page.pc.LocalDescription().SDP})
	if answer := <-answers; !strings.Contains(answer, "a=candidate:") {
		t.Errorf("the answer has no candidates:\n%s", answer)
	}
	if err := page.channel.SendText("on the new path"); err != nil {
		t.Fatal(err)
	}
	s.awaitText("on the new path")
}

// Candidates of an offer that is ignored are none of the call's (RFC 9429 section 4.1.20).
func TestCandidatesOfAnIgnoredOffer(t *testing.T) {
	page := newOriginalPage(t)
	s := newSide(t, "terminal", Config{
		Caller: true, Channels: []datachannel.Options{{Label: "channel1"}},
		Signaler: &wire{filter: func(string, string) (string, bool) { return "", false }},
	})
	s.start()
	await(s, func(e SignalingStateChanged) bool { return e.State == webrtc.SignalingStateHaveLocalOffer })
	await(s, func(GatheringComplete) bool { return true }) // the offer is sent
	offer, err := page.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.call.DeliverOffer(SessionDescription{SDP: offer.SDP})
	ufrag, other, mid := attributeOf(offer.SDP, "ice-ufrag"), "another", "0"
	line := func(port int) string { return fmt.Sprintf("candidate:1 1 udp 1 192.0.2.1 %d typ host", port) }
	s.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: line(1001), SDPMid: &mid, UsernameFragment: &ufrag})
	s.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: line(1002) + " ufrag " + ufrag, SDPMid: &mid})
	s.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: line(1003), SDPMid: &mid, UsernameFragment: &other})
	found := await(s, func(e CandidateFound) bool { return e.Remote })
	if found.Address != "192.0.2.1:1003" {
		t.Errorf("the candidate %s of the ignored offer is used", found.Address)
	}
}

// When offers that restart ICE cross, the one that is answered restarts it for both: the polite
// peer does not restart it again.
func TestRestartsThatCross(t *testing.T) {
	var crossing atomic.Bool
	var out sync.WaitGroup
	var mu sync.Mutex
	sent := map[string][]string{} // the ICE user fragments of each peer's descriptions
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Impolite, answerer.Impolite = true, false
		for name, w := range map[string]*wire{"a": caller.Signaler.(*wire), "b": answerer.Signaler.(*wire)} {
			var once sync.Once
			w.filter = func(kind, text string) (string, bool) {
				if !crossing.Load() || kind != "offer" && kind != "answer" {
					return text, true
				}
				if kind == "offer" {
					once.Do(func() { out.Done(); out.Wait() })
				}
				_, ufrag, _ := strings.Cut(text, "a=ice-ufrag:")
				ufrag, _, _ = strings.Cut(ufrag, "\r\n")
				mu.Lock()
				defer mu.Unlock()
				sent[name] = append(sent[name], ufrag)
				return text, true
			}
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	out.Add(2)
	crossing.Store(true)
	restarted := make(chan error, 2)
	a.begin(a.call.restart(), restarted)
	b.begin(b.call.restart(), restarted)
	for range 2 {
		if err := <-restarted; err != nil {
			t.Error(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if s := sent["a"]; len(s) != 2 || s[0] != s[1] {
		t.Errorf("the impolite peer has sent the user fragments %q in an offer and an answer", s)
	}
	if s := sent["b"]; len(s) != 3 || s[0] == s[1] || s[1] != s[2] {
		t.Errorf("the polite peer has sent the user fragments %q in an offer that was rolled back, an answer and an offer", s)
	}
	a.call.Say("still here")
	b.awaitText("still here")
}

// afterOffer calls a function after an offer was sent.
type afterOffer struct {
	Signaler
	call func()
}

func (s *afterOffer) Offer(ctx context.Context, d SessionDescription) error {
	err := s.Signaler.Offer(ctx, d)
	s.call()
	return err
}

// A peer that answers an offer and hangs up at once has hung up: that its answer cannot be applied
// any more is no failure.
func TestAnswerBeforeAHangup(t *testing.T) {
	var a, b *side
	later := &afterOffer{call: func() {}}
	answers := make(chan struct{}, 8)
	a, b = pair(t, func(caller, answerer *Config) {
		later.Signaler, caller.Signaler = caller.Signaler, later
		answerer.Signaler.(*wire).filter = func(kind, payload string) (string, bool) {
			if kind == "answer" {
				answers <- struct{}{}
			}
			return payload, kind != "leave"
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	<-answers
	later.call = func() { // on the goroutine of the call, which has not handled the answer yet
		<-answers
		b.stop()
		<-b.ended
		for begin := time.Now(); a.call.transports.conns[0].pc.SignalingState() != webrtc.SignalingStateClosed; time.Sleep(time.Millisecond) {
			if time.Since(begin) > deadline {
				t.Error("the connection was not closed")
				return
			}
		}
	}
	go func() { _ = a.call.AddTrack(t.Context(), rawTrack(t, webrtc.MimeTypeVP8, "video")) }()
	<-a.ended
	if a.end != PeerLeft || a.err != nil {
		t.Errorf("the call ended with %v, %v; want PeerLeft", a.end, a.err)
	}
}

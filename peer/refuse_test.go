package peer

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/peer/internal/jsep"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// badly makes every offer of a side one that Pion refuses, while it is switched
// on.
func badly(cfg *Config) *atomic.Bool {
	on := &atomic.Bool{}
	cfg.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
		if kind == "offer" && on.Load() {
			text = strings.Replace(text, "a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap:0 urn:x\r\n", 1)
			text = strings.Replace(text, "a=parley-wish:video", "a=parley-wish:"+strings.Repeat("video ", jsep.MaxSections), 1)
		}
		return text, true
	}
	return on
}

// barely makes every refusal of a side one without sections.
func barely(cfg *Config) {
	cfg.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
		if _, why, refuses := strings.Cut(text, "a=parley-refusal:"); kind == "answer" && refuses {
			why, _, _ = strings.Cut(why, "\r\n")
			text = jsep.BareRejection(why)
		}
		return text, true
	}
}

// An offer, or a wish for one, that the other side does not take in a call that
// is up changes nothing, both are told why, and the next one is taken.
func TestRefusedChangeIsTold(t *testing.T) {
	for name, of := range map[string]struct {
		wins, bare bool
		why        string
	}{
		"an offer":        {true, false, "extmap"},
		"a wish":          {false, false, "more sections than a call may have"},
		"an offer, by no": {true, true, "extmap"}, // as a page says it
	} {
		t.Run(name, func(t *testing.T) {
			heard, on := listen(t)
			var bad *atomic.Bool
			a, b := pair(t, func(caller, answerer *Config) {
				caller.WinsGlare, answerer.WinsGlare = of.wins, !of.wins
				answerer.OnEvent = on
				bad = badly(caller)
				if of.bare {
					barely(answerer)
				}
				caller.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "sound")}
			})
			a.awaitConnected()
			b.awaitConnected()
			heard.hears("sound")
			for range 2 {
				bad.Store(true)
				picture := rawTrack(t, webrtc.MimeTypeVP8, "picture")
				err := changing(a, func(done func(error)) { a.call.AddTrack(picture, done) })
				if err == nil || !strings.Contains(err.Error(), "the other side refused it") || !strings.Contains(err.Error(), of.why) {
					t.Fatalf("a is told %v, want that it was refused for its %s", err, of.why)
				}
				await(b, func(w Warned) bool { return strings.Contains(w.Text, of.why) })
				if _, _, err := a.call.place(picture); err != errNotSent {
					t.Errorf("the picture that was refused: %v", err)
				}
				if err := changing(a, func(done func(error)) { a.call.Hold(true, done) }); of.wins == (err == nil) {
					t.Errorf("the hold that was refused: %v", err) // the wish for it is a good one
				}
				bad.Store(false)
				a.must(func(done func(error)) { a.call.Hold(false, done) })
				heard.hears("sound")
				a.must(func(done func(error)) { a.call.Restart(done) })
			}
			a.must(func(done func(error)) { a.call.AddTrack(rawTrack(t, webrtc.MimeTypeVP8, "picture"), done) })
			heard.hears("picture")
			b.must(func(done func(error)) { b.call.AddTrack(rawTrack(t, webrtc.MimeTypeVP8, "back"), done) })
		})
	}
}

// A peer that knows nothing of refusals takes one for an answer, and goes on.
func TestRefusalIsAnAnswer(t *testing.T) {
	page := newOriginalPage(t)
	s := page.callsTerminal()
	for _, bad := range []string{"a=extmap:0 urn:x\r\n", ""} {
		if _, err := page.pc.AddTrack(testTrack(t, webrtc.MimeTypeVP8)); err != nil {
			t.Fatal(err)
		}
		offer, err := page.pc.CreateOffer(nil)
		if err == nil {
			err = page.pc.SetLocalDescription(offer)
		}
		if err != nil {
			t.Fatal(err)
		}
		stable := make(chan struct{})
		page.pc.OnSignalingStateChange(func(s webrtc.SignalingState) {
			if s == webrtc.SignalingStateStable {
				close(stable)
			}
		})
		s.call.DeliverOffer(strings.Replace(offer.SDP, "a=rtcp-mux\r\n", "a=rtcp-mux\r\n"+bad, 1))
		select {
		case <-stable:
		case <-time.After(deadline):
			t.Fatal("the page waits for an answer")
		}
		if got, want := strings.Contains(page.pc.RemoteDescription().SDP, "a=parley-refusal:"), bad != ""; got != want {
			t.Errorf("refused: %v, want %v", got, want)
		}
		if err := page.channel.SendText("still here"); err != nil {
			t.Fatal(err)
		}
		s.forget()
		s.awaitText("still here")
	}
}

// No refusal is sent where it would say something that is not so.
func TestRefusedInSilence(t *testing.T) {
	a, b, offer := withOffer(t)
	for name, text := range map[string]string{
		"nonsense":     "nonsense",
		"no sections":  offer[:strings.Index(offer, "m=")],
		"an ICE start": strings.NewReplacer("s=parley\r\n", "s=-\r\n", "a=ice-ufrag:", "a=ice-ufrag:x").Replace(offer),
		"others":       strings.NewReplacer("m=application", "m=text", "a=mid:a1", "a=mid:a2", "a=mid:v1", "a=mid:v2").Replace(offer),
	} {
		got, err := b.call.refusal(text, "no")
		if err == nil {
			t.Errorf("%s is answered by\n%s", name, got)
		}
	}
	a.call.Say("still here")
	b.awaitText("still here")
}

// An offer that a call begins with is refused in words too.
func TestRefusedCallIsTold(t *testing.T) {
	a, b := pair(t, func(caller, _ *Config) {
		caller.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
		badly(caller).Store(true)
	})
	b.failsAt(Negotiation, "extmap")
	a.failsAt(Negotiation, "the other side refused it: media section 1 has the malformed header extension")
}

// A restart that is refused is tried once more, for the old path is gone.
func TestRefusedRestart(t *testing.T) {
	var bad *atomic.Bool
	offers := make(chan string, 16)
	a, b := pair(t, func(caller, _ *Config) {
		caller.patience = deadline // no offer is said again
		caller.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
		bad = badly(caller)
		spoil := caller.Signaler.(*wire).filter
		caller.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
			text, pass := spoil(kind, text)
			if kind == "offer" {
				bad.Store(false)
				offers <- text
			}
			return text, pass
		}
	})
	b.call.Say("hello")
	a.awaitText("hello")
	b.awaitConnected()
	bad.Store(true)
	if err := changing(a, func(done func(error)) { a.call.Restart(done) }); !errors.Is(err, ErrRefused) {
		t.Fatalf("the restart: %v", err)
	}
	a.must(func(done func(error)) { a.call.Hold(true, done) })
	a.must(func(done func(error)) { a.call.Hold(false, done) })
	a.call.Say("still here")
	b.awaitText("still here")
	b.call.Say("and there")
	a.awaitText("and there")
	began, refused, again := attributeOf(<-offers, "ice-ufrag"), attributeOf(<-offers, "ice-ufrag"), attributeOf(<-offers, "ice-ufrag")
	if began == refused || refused == again || again == began {
		t.Errorf("the ICE sessions are %s, %s, which was refused, and %s, want three", began, refused, again)
	}
}

// Refusals of nothing, or of anything at all, do no harm.
func TestHostileRefusals(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		caller.patience, answerer.patience = 2*time.Second, 2*time.Second // until a wrong answer has been got over
	})
	a.awaitConnected()
	b.awaitConnected()
	a.call.mu.Lock()
	offer := asText(t)(a.call.live[0].asSent(a.call.live[0].pc.LocalDescription().SDP))
	a.call.mu.Unlock()
	nothing := "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=parley-answer\r\nt=0 0\r\na=parley-refusal:no\r\n"
	for _, s := range []*side{a, b} {
		for range 200 {
			s.call.DeliverAnswer(nothing)
		}
		s.call.Say("hello") // when they have been read
	}
	for _, s := range []*side{a, b} {
		s.awaitText("hello")
		if n := happenings(s, func(Warned) bool { return true }); n > 0 {
			t.Errorf("%s was told %d times of a refusal of nothing", s.name, n)
		}
	}
	body := offer[strings.Index(offer, "m="):]
	for _, why := range []string{"", "no", "\x1b[31m\u202e", strings.Repeat("x", 1<<17), "a\r\na=parley-refusal:b"} {
		head := "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=parley-answer\r\nt=0 0\r\na=parley-refusal:" + why + "\r\n"
		for range 50 {
			for _, to := range []*side{a, b} {
				to.call.DeliverAnswer(head)
				to.call.DeliverAnswer(head + body)
				to.call.DeliverOffer(head)
			}
		}
	}
	for _, s := range []*side{a, b} {
		hold := make(chan error, 1) // the wrong answer to what is asked for: the next right one is taken
		s.call.Hold(true, func(err error) { hold <- err })
		s.call.DeliverAnswer(nothing)
		<-hold
		s.must(func(done func(error)) { s.call.Hold(true, done) })
		s.must(func(done func(error)) { s.call.Hold(false, done) })
	}
	a.call.Say("still here")
	b.awaitText("still here")
	b.call.Say("and there")
	a.awaitText("and there")
}

func asText(t *testing.T) func(*sdp.SessionDescription, error) string {
	return func(d *sdp.SessionDescription, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text, err := jsep.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// attributeOf is the first value of an attribute in a description.
func attributeOf(text, key string) string {
	_, rest, _ := strings.Cut(text, "\r\na="+key+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

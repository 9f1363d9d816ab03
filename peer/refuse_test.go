package peer

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// badly makes every offer of a side one that Pion refuses, while it is switched
// on.
func badly(cfg *Config) *atomic.Bool {
	on := &atomic.Bool{}
	cfg.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
		if kind == "offer" && on.Load() {
			text = strings.Replace(text, "a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap:0 urn:x\r\n", 1)
			text = strings.Replace(text, "a=parley-wish:video", "a=parley-wish:"+strings.Repeat("video ", maxSections), 1)
		}
		return text, true
	}
	return on
}

// An offer, or a wish for one, that the other side does not take in a call that
// is up changes nothing, both are told why, and the next one is taken.
func TestRefusedChangeIsTold(t *testing.T) {
	for name, of := range map[string]struct {
		wins bool
		why  string
	}{
		"an offer": {true, "extmap"},
		"a wish":   {false, "more sections than a call may have"},
	} {
		t.Run(name, func(t *testing.T) {
			heard, on := listen(t)
			var bad *atomic.Bool
			a, b := pair(t, func(caller, answerer *Config) {
				caller.WinsGlare, answerer.WinsGlare = of.wins, !of.wins
				answerer.OnEvent = on
				bad = badly(caller)
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
	s := newSide(t, "terminal", Config{Signaler: page})
	page.peer = s.call
	s.start()
	page.call()
	s.awaitConnected()
	<-page.opened
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
		if got, want := strings.Contains(page.pc.RemoteDescription().SDP, refusalAttribute), bad != ""; got != want {
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
		"an ICE start": strings.ReplaceAll(offer, "a=ice-ufrag:", "a=ice-ufrag:x"),
		"others":       strings.NewReplacer("m=application", "m=text", "a=mid:a1", "a=mid:a2", "a=mid:v1", "a=mid:v2").Replace(offer),
	} {
		b.call.mu.Lock()
		got, err := b.call.live[0].refusal(text, "no")
		b.call.mu.Unlock()
		if err == nil {
			t.Errorf("%s is answered by\n%s", name, got)
		}
	}
	a.call.Say("still here")
	b.awaitText("still here")
}

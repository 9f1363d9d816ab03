package peer

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/peer/internal/jsep"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// badly makes every offer of a side one that cannot be applied, while it is switched on.
func badly(cfg *Config) *atomic.Bool {
	on := &atomic.Bool{}
	cfg.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
		if kind == "offer" && on.Load() {
			text = strings.Replace(text, "a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap:0 urn:x\r\n", 1)
		}
		return text, true
	}
	return on
}

// An offer that is rejected in a connected call changes nothing, the reason is reported to both,
// and the next one is accepted.
func TestRejectedChangeIsReported(t *testing.T) {
	for name, of := range map[string]struct{ impolite, foreign bool }{
		"of the impolite peer": {true, false},
		"of the polite peer":   {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			received, on := recordPackets(t)
			var bad *atomic.Bool
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Impolite, answerer.Impolite = of.impolite, !of.impolite
				answerer.OnEvent = on
				bad = badly(caller)
				caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio")}
			})
			a.awaitConnected()
			b.awaitConnected()
			received.await("audio")
			for range 2 {
				bad.Store(true)
				video := rawTrack(t, webrtc.MimeTypeVP8, "video")
				err := changing(a, func(ctx context.Context) error { return a.call.AddTrack(ctx, video) })
				if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "extmap") {
					t.Fatalf("a got %v, want that it was rejected for its extmap", err)
				}
				await(b, func(w Warned) bool { return strings.Contains(w.Text, "extmap") })
				if _, _, err := a.call.tracks.find(video); err != errNotSent {
					t.Errorf("the video that was rejected: %v", err)
				}
				if err := changing(a, func(ctx context.Context) error { return a.call.Hold(ctx, true) }); err == nil {
					t.Error("the hold that was rejected is reported as done")
				}
				bad.Store(false)
				a.must(func(ctx context.Context) error { return a.call.Hold(ctx, false) })
				received.await("audio")
				a.must(a.call.Restart)
			}
			a.must(func(ctx context.Context) error { return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "video")) })
			received.await("video")
			b.must(func(ctx context.Context) error { return b.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "back")) })
		})
	}
}

// A peer that is no parley is sent an answer that changes nothing, and goes on.
func TestRejectionIsAnAnswer(t *testing.T) {
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
		s.call.DeliverOffer(SessionDescription{SDP: strings.Replace(offer.SDP, "a=rtcp-mux\r\n", "a=rtcp-mux\r\n"+bad, 1)})
		select {
		case <-stable:
		case <-time.After(deadline):
			t.Fatal("the page waits for an answer")
		}
		if got, want := strings.Contains(page.pc.RemoteDescription().SDP, "m=video 0"), bad != ""; got != want {
			t.Errorf("rejected: %v, want %v", got, want)
		}
		if err := page.channel.SendText("still here"); err != nil {
			t.Fatal(err)
		}
		s.forget()
		s.awaitText("still here")
	}
}

// No answer is sent where it would say something that is not so.
func TestRejectedInSilence(t *testing.T) {
	a, b, offer := withOffer(t)
	for name, text := range map[string]string{
		"nonsense":     "nonsense",
		"no sections":  offer[:strings.Index(offer, "m=")],
		"an ICE start": strings.NewReplacer("a=ice-ufrag:", "a=ice-ufrag:x").Replace(offer),
		"others":       strings.NewReplacer("m=application", "m=text", "a=mid:a1", "a=mid:a2", "a=mid:v1", "a=mid:v2").Replace(offer),
	} {
		got, err := b.call.negotiator.rejectionOf(SessionDescription{SDP: text}, errors.New("no"))
		if err == nil {
			t.Errorf("%s is answered by\n%s", name, got.SDP)
		}
	}
	a.call.Say("still here")
	b.awaitText("still here")
}

// The reason why the offer of a call is rejected is sent to the peer.
func TestRejectedCallIsReported(t *testing.T) {
	a, b := pair(t, func(caller, _ *Config) {
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
		badly(caller).Store(true)
	})
	b.failsAt(Negotiation, "extmap")
	a.failsAt(Negotiation, "rejected by the peer")
}

// A restart that is rejected leaves the path in use.
func TestRejectedRestartChangesNothing(t *testing.T) {
	var bad *atomic.Bool
	a, b := pair(t, func(caller, _ *Config) {
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
		bad = badly(caller)
	})
	b.call.Say("hello")
	a.awaitText("hello")
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	b.forget()
	bad.Store(true)
	if err := changing(a, a.call.Restart); !errors.Is(err, ErrRejected) {
		t.Fatalf("the restart: %v", err)
	}
	a.call.Say("still here")
	b.awaitText("still here")
	b.call.Say("and there")
	a.awaitText("and there")
	for _, s := range []*side{a, b} {
		if n := happenings(s, func(e CandidateFound) bool { return !e.Remote }); n > 0 {
			t.Errorf("%s gathered %d candidates anew", s.name, n)
		}
	}
	bad.Store(false)
	a.must(a.call.Restart)
	await(a, func(PairSelected) bool { return true })
	a.call.Say("on the new path")
	b.awaitText("on the new path")
}

// A peer that accepts no offers is sent none for a restart; its own restart is answered.
func TestNoOffersToAPeerThatAcceptsNone(t *testing.T) {
	var offers atomic.Int32
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
		caller.Signaler.(*wire).see = func(kind string, d SessionDescription) {
			if kind == "offer" {
				d.Extension.NoOffers = true
			}
		}
		answerer.Signaler.(*wire).see = func(kind string, _ SessionDescription) {
			if kind == "offer" {
				offers.Add(1)
			}
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	b.call.RestartICE()
	a.must(a.call.Restart)
	b.call.RestartICE()
	a.call.Say("hello") // read after the restarts
	b.awaitText("hello")
	b.call.Say("hello")
	a.awaitText("hello")
	if n := offers.Load(); n != 0 {
		t.Errorf("got %d offers to a peer that accepts none", n)
	}
}

// Rejections of nothing, or with any reason at all, do no harm.
func TestHostileRejections(t *testing.T) {
	var sides [2]*side
	var hostile atomic.Pointer[SessionDescription] // comes before the answer to the next offer
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Timeouts.Answer, answerer.Timeouts.Answer = 2*time.Second, 2*time.Second // until a wrong answer has been got over
		for i, cfg := range []*Config{caller, answerer} {
			cfg.Signaler.(*wire).see = func(kind string, d SessionDescription) {
				if kind != "offer" {
					return
				}
				if answer := hostile.Swap(nil); answer != nil {
					answer.Extension = &Extension{Number: d.Extension.Number, Rejected: answer.Extension.Rejected}
					sides[i].call.DeliverAnswer(*answer)
				}
			}
		}
	})
	sides = [2]*side{a, b}
	a.awaitConnected()
	b.awaitConnected()
	for _, s := range []*side{a, b} {
		for number := range uint64(200) {
			s.call.DeliverAnswer(SessionDescription{Extension: &Extension{Number: number, Rejected: "no"}})
		}
		s.call.Say("hello") // when they have been read
	}
	for _, s := range []*side{a, b} {
		s.awaitText("hello")
		if n := happenings(s, func(Warned) bool { return true }); n > 0 {
			t.Errorf("%s reported %d rejections of nothing", s.name, n)
		}
	}
	for _, why := range []string{"no", "\x1b[31m\u202e", strings.Repeat("x", 1<<17), "a\r\nb"} {
		for number := range uint64(50) {
			for _, to := range []*side{a, b} {
				x := &Extension{Number: number, Rejected: why, AnswerRejected: why, Processed: number}
				to.call.DeliverAnswer(SessionDescription{Extension: x})
				to.call.DeliverAnswer(SessionDescription{SDP: "v=0", Extension: x})
				offer := *x // the peer is sent its rejection
				offer.Number += 1000
				to.call.DeliverOffer(SessionDescription{Extension: &offer})
			}
		}
	}
	for _, s := range []*side{a, b} {
		for what, answer := range map[string]SessionDescription{
			"an answer without sections":   {SDP: "v=0", Extension: &Extension{}},
			"no answer":                    {Extension: &Extension{}},
			"a rejection for a bad reason": {Extension: &Extension{Rejected: "\x1b[31m\u202e"}},
		} {
			hostile.Store(&answer)
			if err := changing(s, func(ctx context.Context) error { return s.call.Hold(ctx, true) }); err == nil {
				t.Errorf("%s got %s, and reports the hold as done", s.name, what)
			}
			s.must(func(ctx context.Context) error { return s.call.Hold(ctx, true) })
			s.must(func(ctx context.Context) error { return s.call.Hold(ctx, false) })
		}
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

package peer

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"parley/peer/datachannel"
)

// middle puts a signaling server between two calls that makes each of them call
// a machine of its own, which passes on what it receives.
func middle(t *testing.T, edit func(caller, answerer *Config)) (a, b, toA, toB *side) {
	t.Helper()
	pass := func(to **side) func(Event) {
		return func(e Event) {
			if m, ok := e.(MessageReceived); ok {
				(*to).call.Say(string(m.Data))
			}
		}
	}
	answersA := Config{Signaler: &wire{to: func() *Call { return a.call }}, OnEvent: pass(&toB)}
	callsB := Config{Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: &wire{to: func() *Call { return b.call }}, OnEvent: pass(&toA)}
	caller := Config{Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: &wire{to: func() *Call { return toA.call }}}
	answerer := Config{Signaler: &wire{to: func() *Call { return toB.call }}}
	edit(&caller, &answerer)
	a, b = newSide(t, "alice", caller), newSide(t, "bob", answerer)
	toA, toB = newSide(t, "false bob", answersA), newSide(t, "false alice", callsB)
	for _, s := range []*side{toA, b, a, toB} {
		s.start()
	}
	return a, b, toA, toB
}

func TestCodesDifferWithAnInterceptor(t *testing.T) {
	a, b, _, _ := middle(t, func(_, _ *Config) {})
	a.call.Say("secret")
	b.awaitText("secret") // nothing else reports
	ours := await(a, func(VerificationCode) bool { return true }).Code
	if theirs := await(b, func(VerificationCode) bool { return true }).Code; ours == theirs {
		t.Errorf("both see %s", ours)
	}
}

func certificate(t *testing.T) *webrtc.Certificate {
	t.Helper()
	return must(generateCertificate())(t)
}

// Two sides with keys of their own know the code before they call.
func TestACallWithTheExpectedCode(t *testing.T) {
	keys := [2]*webrtc.Certificate{certificate(t), certificate(t)}
	var code string
	for range 2 {
		a, b := pair(t, func(caller, answerer *Config) {
			caller.Verification.Certificate, answerer.Verification.Certificate = keys[0], keys[1]
			caller.Verification.Code, answerer.Verification.Code = code, strings.ReplaceAll(code, " ", "-")
		})
		known := await(a, func(VerificationCode) bool { return true })
		if known.Verified != (code != "") || code != "" && known.Code != code {
			t.Errorf("the code is %+v, want %s", known, code)
		}
		code = known.Code
		a.call.Say("hello")
		b.awaitText("hello")
		a.stop()
		a.awaitEnd()
		b.awaitEnd()
	}
}

func TestUnexpectedCodeDoesNotConnect(t *testing.T) {
	wrong := "00000 00000 00000 00000 00000 00000"
	for name, atCaller := range map[string]bool{"the caller expects it": true, "the answerer expects it": false} {
		t.Run(name, func(t *testing.T) {
			a, b, toA, toB := middle(t, func(caller, answerer *Config) {
				if atCaller {
					caller.Verification.Code = wrong
				} else {
					answerer.Verification.Code = wrong
				}
			})
			s, other := a, toA
			if !atCaller {
				s, other = b, toB
			}
			s.call.Say("secret")
			_, err := s.awaitEnd()
			var failure *Error
			if !errors.As(err, &failure) || failure.Stage != Verification || !strings.Contains(err.Error(), "third party") {
				t.Errorf("ended with %v", err)
			}
			if n := happenings(s, func(e StateChanged) bool { return e.State == webrtc.PeerConnectionStateConnected }); n > 0 {
				t.Error("it connected")
			}
			if end, err := other.awaitEnd(); end != PeerLeft || err != nil {
				t.Errorf("the peer got no report: %v, %v", end, err)
			}
		})
	}
}

func TestNothingIsSentBeforeTheCodeIsConfirmed(t *testing.T) {
	a, b := pair(t, func(caller, _ *Config) {
		caller.Verification.Required = true
		caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8)}
	})
	a.call.Say("secret")
	b.call.Say("hello")
	a.awaitText("hello") // the channel is open both ways
	ch := await(a, func(ChannelOpened) bool { return true }).Channel
	if err := ch.Send([]byte("secret"), true); !errors.Is(err, datachannel.ErrUnverified) {
		t.Errorf("a held message was sent: %v", err)
	}
	track := a.call.cfg.Media.Tracks[0].(*webrtc.TrackLocalStaticSample)
	for range 10 {
		if err := track.WriteSample(media.Sample{Data: []byte{0x10, 2, 0}, Duration: time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	b.call.Say("again") // what a had sent by now would be there before the next
	a.awaitText("again")
	if packets := a.call.Stats().Tracks[0].Packets; packets > 0 {
		t.Errorf("%d packets of the track left", packets)
	}
	if n := happenings(b, func(MessageReceived) bool { return true }); n > 0 {
		t.Errorf("%d messages left", n)
	}
	a.call.Confirm()
	feed(t, a)
	b.awaitText("secret")
	await(b, func(TrackReceived) bool { return true })
	if !await(a, func(e VerificationCode) bool { return e.Verified }).Verified {
		t.Error("the code is not reported as confirmed")
	}
}

func TestADeclinedCodeEndsTheCall(t *testing.T) {
	a, b := pair(t, func(caller, _ *Config) { caller.Verification.Required = true })
	a.awaitConnected()
	a.call.Say("secret")
	a.call.Decline()
	_, err := a.awaitEnd()
	var failure *Error
	if !errors.As(err, &failure) || failure.Stage != Verification {
		t.Errorf("ended with %v", err)
	}
	if end, err := b.awaitEnd(); end != PeerLeft || err != nil {
		t.Errorf("the peer ended with %v, %v", end, err)
	}
	if n := happenings(b, func(MessageReceived) bool { return true }); n > 0 {
		t.Errorf("%d messages left", n)
	}
}

// A later description with another certificate is of another peer.
func TestTheCertificateDoesNotChangeInACall(t *testing.T) {
	var offer string
	a, b := pair(t, func(caller, _ *Config) {
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			if kind == "offer" {
				offer = s
			}
			return s, true
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	i := strings.Index(offer, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
	b.call.DeliverOffer(SessionDescription{SDP: offer[:i] + strings.Repeat("00:", 31) + "00" + offer[i+95:]})
	if w := await(b, func(Warned) bool { return true }); !strings.Contains(w.Text, "certificate") {
		t.Errorf("warned of %q", w.Text)
	}
	a.call.Say("still here")
	b.awaitText("still here")
}

func TestIsCode(t *testing.T) {
	for s, want := range map[string]bool{
		"35047 93744 53764 42645 35308 50988":  true,
		"35047-93744-53764-42645-35308-50988":  true,
		"350479374453764426453530850988":       true,
		"35047 93744 53764 42645 35308":        false,
		"35047 93744 53764 42645 35308 50988x": false,
		"":                                     false,
	} {
		if IsCode(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func TestBothPeersHaveTheSameCode(t *testing.T) {
	a, b := pair(t, nil)
	code := await(a, func(VerificationCode) bool { return true }).Code
	if got := await(b, func(VerificationCode) bool { return true }).Code; got != code {
		t.Errorf("the caller sees %q, the answerer %q", code, got)
	}
	if !regexp.MustCompile(`^(\d{5} ){5}\d{5}$`).MatchString(code) {
		t.Errorf("the code is %q", code)
	}
}

package peer

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/peer/internal/jsep"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"parley/peer/datachannel"
)

func TestTextInBothDirectionsOnOneChannel(t *testing.T) {
	a, b := pair(t, nil)
	a.call.Say("ping")
	b.awaitText("ping")
	b.call.Say("pong")
	a.awaitText("pong")
	for _, s := range []*side{a, b} {
		if n := happenings(s, func(ChannelOpened) bool { return true }); n != 1 {
			t.Errorf("%s has %d channels, want 1", s.name, n)
		}
	}
	if ch := await(b, func(ChannelOpened) bool { return true }).Channel; !ch.OpenedByPeer() || ch.Label() != "channel1" {
		t.Errorf("the answerer sees channel %q, opened by the peer: %v", ch.Label(), ch.OpenedByPeer())
	}
}

func TestTextIsFlushedBeforeHangingUp(t *testing.T) {
	a, b := pair(t, nil)
	await(a, func(ChannelOpened) bool { return true })
	const lines = 100
	for range lines {
		a.call.Say(strings.Repeat("x", 10_000))
	}
	await(a, func(TextSent) bool { return true })
	a.call.Hangup()
	if end, err := a.awaitEnd(); end != Left || err != nil {
		t.Errorf("the caller ended with %v, %v", end, err)
	}
	if end, err := b.awaitEnd(); end != PeerLeft || err != nil {
		t.Errorf("the answerer ended with %v, %v", end, err)
	}
	if n := happenings(b, func(e MessageReceived) bool { return len(e.Data) == 10_000 }); n != lines {
		t.Errorf("%d of %d lines arrived", n, lines)
	}
}

func TestPeerGoneWithoutSignaling(t *testing.T) {
	a, b := pair(t, func(caller, _ *Config) {
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) { return s, kind != "leave" }
	})
	a.awaitConnected()
	b.awaitConnected()
	a.call.Hangup()
	if end, err := b.awaitEnd(); end != PeerLeft || err != nil { // by DTLS close_notify
		t.Errorf("the answerer ended with %v, %v", end, err)
	}
}

func TestTracksInBothDirections(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}
		answerer.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}
	})
	for _, s := range []*side{a, b} {
		s.awaitConnected()
		for _, track := range s.call.cfg.Media.Tracks {
			e := await(s, func(e TrackSending) bool { return e.Track == track })
			if want := track.(*webrtc.TrackLocalStaticSample).Codec().MimeType; e.Codec.MimeType != want {
				t.Errorf("%s sends %s, want %s", s.name, e.Codec.MimeType, want)
			}
		}
		feed(t, s)
	}
	for _, s := range []*side{a, b} {
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			e := await(s, func(e TrackReceived) bool { return e.Track.Kind() == kind })
			if e.Track.StreamID() != "parley" {
				t.Errorf("%s got stream %q", s.name, e.Track.StreamID())
			}
			if e.Local == nil || e.Local.Kind() != kind {
				t.Errorf("%s: the section of the received %s sends %v", s.name, kind, e.Local)
			}
		}
	}
}

// feed writes samples to the tracks of s until the test ends.
func feed(t *testing.T, s *side) {
	for _, track := range s.call.cfg.Media.Tracks {
		feedTrack(t, track.(*webrtc.TrackLocalStaticSample))
	}
}

func feedTrack(t *testing.T, track *webrtc.TrackLocalStaticSample) {
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			sample := media.Sample{Data: []byte{0x10, 2, 0, 0x9d, 1, 0x2a, 64, 1, 240, 0}, Duration: 20 * time.Millisecond}
			if err := track.WriteSample(sample); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // the pace of the media, nothing waits for it
		}
	}()
	t.Cleanup(func() { stop.Store(true); <-done })
}

func TestKeyFrameRequestReachesTheTrack(t *testing.T) {
	source := &askedTrack{TrackLocalStaticSample: testTrack(t, webrtc.MimeTypeVP8), asked: make(chan struct{}, 1)}
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{source} })
	a.awaitConnected()
	a.call.cfg.Media.Tracks = []webrtc.TrackLocal{source.TrackLocalStaticSample}
	feed(t, a)
	e := await(b, func(TrackReceived) bool { return true })
	if err := e.WriteRTCP(pli(e.Track)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-source.asked:
	case <-time.After(deadline):
		t.Error("the track was not asked for a key frame")
	}
}

func TestTrackWithoutSectionIsRejected(t *testing.T) {
	_, b := pair(t, func(caller, answerer *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeOpus)}
		answerer.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}
	})
	e := await(b, func(TrackRejected) bool { return true })
	if e.Track.Kind() != webrtc.RTPCodecTypeVideo {
		t.Errorf("%s was refused", e.Track.Kind())
	}
	b.awaitConnected()
}

func TestCodecThatThePeerLacksIsRejected(t *testing.T) {
	a, _ := pair(t, func(caller, answerer *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8)}
		answerer.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			if kind == "answer" {
				s = strings.ReplaceAll(s, "VP8/90000", "XX8/90000")
			}
			return s, true
		}
	})
	e := await(a, func(TrackRejected) bool { return true })
	if !strings.Contains(e.Reason, "codec") {
		t.Errorf("the reason is %q", e.Reason)
	}
	a.awaitConnected()
}

func TestCandidatesBeforeTheDescription(t *testing.T) {
	var a, b *side
	var held []func()
	early := &wire{to: func() *Call { return b.call }}
	early.filter = func(kind, s string) (string, bool) {
		if kind == "offer" {
			held = append(held, func() { b.call.DeliverOffer(SessionDescription{SDP: s}) })
			return s, false
		}
		return s, true
	}
	a = newSide(t, "caller", Config{Caller: true, Channels: []datachannel.Options{{Label: "c"}}, Signaler: early})
	b = newSide(t, "answerer", Config{Signaler: &wire{to: func() *Call { return a.call }}})
	b.start()
	a.start()
	await(b, func(e CandidateFound) bool { return e.Remote })
	held[0]()
	b.awaitConnected()
}

// Who sends candidates as lines of a description is understood, as by browsers: no other path is
// found here, because only one side's candidates are known.
func TestCandidatesAsLinesOfADescription(t *testing.T) {
	a, b := pair(t, func(caller, callee *Config) {
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) { return s, kind != "candidate" }
		callee.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			if kind == "candidate" && s != "" {
				s = "a=" + s
			}
			return s, true
		}
	})
	await(a, func(e CandidateFound) bool { return e.Remote })
	b.awaitConnected()
}

func TestMalformedCandidates(t *testing.T) {
	a, b := pair(t, nil)
	odd := []string{
		"", " ", "candidate:", "nonsense", strings.Repeat("x", 1<<20),
		"candidate:1 2 udp 2122252543 192.0.2.7 5000 typ host",                                  // RTCP
		"candidate:2 1 tcp 1518214911 192.0.2.7 9 typ host tcptype active",                      // TCP
		"candidate:3 1 udp 2122252543 1c9bd2c5-0000-4000-8000-3b1d6d5e1f00.local 5000 typ host", // nobody
		"candidate:4 1 udp 2122252543 metadata.internal 80 typ host",                            // a name for DNS
		"candidate:5 1 udp 2122252543 192.0.2.7 5000 typ magic",
		"candidate:6 1 udp 2122252543 192.0.2.7 5000 typ host ufrag stale",
		"candidate:7 1 udp 99999999999999 192.0.2.7 70000 typ host",
	}
	for range 100 {
		for _, line := range odd {
			b.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: line})
			a.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: line})
		}
	}
	a.call.Say("still here")
	b.awaitText("still here")
}

// An offer that came before ours was sent is answered, polite or not: there is no
// glare.
func TestAnOfferThatCameFirstIsAnswered(t *testing.T) {
	for name, foreign := range map[string]bool{"a parley's": false, "a browser's": true} {
		t.Run(name, func(t *testing.T) {
			var a, b *side
			called := make(chan struct{})
			config := func(to **side, sends func(kind, s string) (string, bool)) Config {
				return Config{
					Caller: true, Impolite: true, Channels: []datachannel.Options{{Label: "channel1"}},
					Signaler: &wire{to: func() *Call { return (*to).call }, filter: sends},
				}
			}
			a = newSide(t, "alice", config(&b, func(kind, s string) (string, bool) {
				if kind == "candidate" {
					select {
					case <-called:
					default:
						close(called)
					}
				}
				return s, true
			}))
			b = newSide(t, "bob", config(&a, func(kind, s string) (string, bool) {
				if kind == "offer" {
					t.Error("bob made an offer of his own")
				}
				return s, true
			}))
			a.call.cfg.Signaler.(*wire).foreign = foreign
			a.start()
			<-called
			b.start()
			a.call.Say("from alice")
			b.call.Say("from bob")
			a.awaitText("from bob")
			b.awaitText("from alice")
		})
	}
}

func TestRejectedDescriptionEndsANewCall(t *testing.T) {
	_, b := pair(t, func(caller, _ *Config) {
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			return strings.ReplaceAll(s, "a=fingerprint:", "a=x-fingerprint:"), true
		}
	})
	_, err := b.awaitEnd()
	var failure *Error
	if !errors.As(err, &failure) || failure.Stage != Negotiation || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("ended with %v", err)
	}
}

func TestAWrongFingerprintNeverConnects(t *testing.T) {
	_, b := pair(t, func(caller, _ *Config) {
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			if kind == "leave" { // the caller may notice first
				return s, false
			}
			if kind == "offer" {
				i := strings.Index(s, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
				s = s[:i] + strings.Repeat("00:", 31) + "00" + s[i+95:]
			}
			return s, true
		}
	})
	_, err := b.awaitEnd()
	var failure *Error
	if !errors.As(err, &failure) || failure.Stage != Connection || !strings.Contains(err.Error(), "DTLS") {
		t.Errorf("ended with %v", err)
	}
	if n := happenings(b, func(ChannelOpened) bool { return true }); n > 0 {
		t.Error("a channel opened all the same")
	}
}

func TestInvalidDescriptionInACallChangesNothing(t *testing.T) {
	a, b := pair(t, nil)
	a.awaitConnected()
	b.awaitConnected()
	for _, sdp := range []string{"", "v=0", strings.Repeat("a", jsep.MaxDescription+1)} {
		b.call.DeliverOffer(SessionDescription{SDP: sdp})
	}
	await(b, func(Warned) bool { return true })
	a.call.Say("still here")
	b.awaitText("still here")
}

func TestWhyWithoutAnswer(t *testing.T) {
	a := newSide(t, "caller", Config{Caller: true, Channels: []datachannel.Options{{Label: "c"}}, Signaler: &wire{
		filter: func(_, s string) (string, bool) { return s, false },
	}}).start()
	await(a, func(e CandidateFound) bool { return !e.Remote })
	a.stop()
	if end, err := a.awaitEnd(); end != Left || err != nil {
		t.Errorf("ended with %v, %v", end, err)
	}
	if why := a.call.Why().Error(); !strings.Contains(why, "no answer") {
		t.Errorf("why: %s", why)
	}
}

//go:build !quick

package peer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// These tests wait for timeouts of many seconds.

// Fifty times in a row: one call comes of it, with the text and the track of
// both.
func TestGlare(t *testing.T) {
	for i := range 50 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			var a, b *side
			var cross sync.WaitGroup // both have sent an offer
			cross.Add(2)
			config := func(wins bool, to **side) Config {
				first := true
				return Config{
					Caller: true, Impolite: wins, Channels: []datachannel.Options{{Label: "channel1"}},
					Media: MediaConfig{Tracks: []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeOpus)}},
					Signaler: &wire{to: func() *Call { return (*to).call }, filter: func(kind, s string) (string, bool) {
						if kind == "offer" && first {
							first = false
							cross.Done()
							cross.Wait()
						}
						return s, true
					}},
				}
			}
			a, b = newSide(t, "alice", config(true, &b)), newSide(t, "bob", config(false, &a))
			a.start()
			b.start()
			a.call.Say("from alice")
			b.call.Say("from bob")
			a.awaitText("from bob")
			b.awaitText("from alice")
			feed(t, a)
			feed(t, b)
			await(a, func(TrackReceived) bool { return true })
			await(b, func(TrackReceived) bool { return true })
		})
	}
}

// TestFaults is what may come from a network and from a peer that is broken or
// hostile, layer by layer. After each fault a call with another peer goes on,
// and nothing is left behind. The numbers are those of a catalogue of faults; of
// it, elsewhere are
//
//	46 a candidate before the description: TestCandidatesBeforeTheDescription
//	51 glare: TestGlare; e2e/browser TestGlareWithATab, TestGlareWithTheOriginalPage
//	57 an old session of the signaling server: signal's tests of resuming
//	66 interfaces that come and go, and 67 outages: restart_test.go, and
//	   cmd/parley/internal/e2e/network, which has the short packets of 66
//	   (TestNetworkShortPackets) and the NAT that is bound anew of 67 (TestNetworkNATRebinding)
//	69 another's fingerprint in the description: TestAWrongFingerprintNeverConnects
//	   and, with exit codes 30 and 40, cmd/parley testdata/script/exits.txtar
func TestFaults(t *testing.T) {
	alice, bob := pair(t, nil)
	alice.call.Say("hello")
	bob.awaitText("hello")
	bob.call.Say("hello")
	alice.awaitText("hello")
	before := held()
	for _, faults := range []map[string]func(*testing.T){
		sdpFaults(), orderFaults(), iceFaults(), dtlsFaults(), mediaFaults(), sctpFaults(), channelFaults(),
	} {
		for name, fault := range faults {
			t.Run(name, fault)
			alice.call.Say("after " + name)
			bob.awaitText("after " + name)
			awaitHeld(t, name, before)
		}
	}
}

// An ICE restart does nothing to a path that works while signaling is unavailable.
func TestRestartWithoutSignaling(t *testing.T) {
	for name, lost := range map[string]bool{"an error": false, "a lost offer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			received, on := recordPackets(t)
			var signaler *unreliable
			var drop atomic.Bool
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Signaler.(*wire).filter = func(kind, text string) (string, bool) { return text, !drop.Load() }
				signaler = &unreliable{Signaler: caller.Signaler}
				caller.Signaler, caller.Timeouts.Answer = signaler, time.Second
				caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio")}
				answerer.OnEvent = on
			})
			a.awaitConnected()
			b.awaitConnected()
			received.await("audio")
			a.forget()
			signaler.down.Store(!lost)
			drop.Store(lost)
			restarted := make(chan error, 1)
			a.begin(a.call.restart(), restarted)
			a.call.RestartICE()
			if err := <-restarted; err != errUnanswered {
				t.Errorf("the restart is reported as %v, want %v", err, errUnanswered)
			}
			received.await("audio")
			b.call.Say("still here")
			a.awaitText("still here")
			if n := happenings(a, func(e StateChanged) bool { return true }); n > 0 {
				t.Errorf("the state has changed:%s", a.summary())
			}
			signaler.down.Store(false)
			drop.Store(false)
			a.must(a.call.Restart)
			received.await("audio")
		})
	}
}

// A later answer that cannot be applied fails its change, which is undone, and leaves a call that
// can be negotiated: another change that waited comes through, and so does an ICE restart.
func TestRejectedAnswerLeavesTheCall(t *testing.T) {
	for name, spoil := range map[string]func(string) string{
		"another certificate": func(s string) string {
			i := strings.Index(s, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
			return s[:i] + strings.Repeat("00:", 31) + "00" + s[i+95:]
		},
		"an extension 0": func(s string) string {
			return strings.Replace(s, "a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap:0 urn:x\r\n", 1)
		},
		"sections are left": func(s string) string { return s[:strings.LastIndex(s, "m=")] },
		"another mid":       func(s string) string { return strings.Replace(s, "a=mid:a1", "a=mid:x1", 1) },
		"nonsense":          func(string) string { return "nonsense" },
		"an open DTLS role": func(s string) string {
			return strings.NewReplacer("a=setup:active", "a=setup:actpass", "a=setup:passive", "a=setup:actpass").Replace(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			received, on := recordPackets(t)
			var bad atomic.Int32
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio")}
				answerer.OnEvent = on
				answerer.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
					if kind == "answer" && bad.Add(-1) >= 0 {
						return spoil(text), true
					}
					return text, true
				}
			})
			a.awaitConnected()
			b.awaitConnected()
			bad.Store(1)
			video := rawTrack(t, webrtc.MimeTypeVP8, "video")
			failed, done := make(chan error, 1), make(chan error, 1)
			a.begin(a.call.addTrack(video), failed)
			a.begin(a.call.hold(true), done)
			if err := <-failed; err == nil {
				t.Fatal("the change is reported as done")
			}
			if err := <-done; err != nil {
				t.Fatalf("the change that waited: %v", err)
			}
			if _, _, err := a.call.tracks.find(video); err != errNotSent {
				t.Errorf("the track is still sent: %v", err)
			}
			await(b, func(w Warned) bool { return strings.Contains(w.Text, "could not apply our answer") })
			a.must(func(ctx context.Context) error { return a.call.Hold(ctx, false) })
			a.must(a.call.Restart)
			received.await("audio")
			a.must(func(ctx context.Context) error {
				return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "another"))
			})
			received.await("another")
			b.must(func(ctx context.Context) error { return b.call.Hold(ctx, true) })
		})
	}
}

// An offer to which no answer comes blocks neither later changes nor an offer of the peer.
func TestUnansweredOfferBlocksNothing(t *testing.T) {
	t.Parallel()
	var drop atomic.Bool
	var offers atomic.Int32
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Timeouts.Answer, answerer.Timeouts.Answer = time.Second, time.Second
		caller.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
			if kind == "offer" && drop.Load() {
				offers.Add(1)
				return "", false
			}
			return text, true
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	for _, next := range []func(){
		func() {
			a.must(func(ctx context.Context) error { return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "later")) })
		},
		func() {
			b.must(func(ctx context.Context) error {
				return b.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeOpus, "from b"))
			})
		},
		func() { a.must(a.call.Restart) },
	} {
		drop.Store(true)
		if err := changing(a, func(ctx context.Context) error { return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "lost")) }); err != errUnanswered {
			t.Fatalf("the change is reported as %v, want %v", err, errUnanswered)
		}
		drop.Store(false)
		next()
	}
}

// The same with a peer that is no parley: its offer is answered, and then ours.
func TestUnansweredOfferToABrowser(t *testing.T) {
	page := newOriginalPage(t)
	var drop atomic.Bool
	s := page.callsTerminalBy(func(next Signaler) Signaler {
		return signalers{&wire{filter: func(string, string) (string, bool) { return "", false }}, &lossy{next, &drop}}
	}, func(cfg *Config) { cfg.Timeouts.Answer = time.Second })
	drop.Store(true)
	if err := changing(s, func(ctx context.Context) error { return s.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "lost")) }); err != errUnanswered {
		t.Fatalf("the change is reported as %v, want %v", err, errUnanswered)
	}
	drop.Store(false)
	page.call()
	s.must(func(ctx context.Context) error { return s.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "later")) })
	if err := page.channel.SendText("still here"); err != nil {
		t.Fatal(err)
	}
	s.awaitText("still here")
}

// An answer that comes twice, because the offer was sent twice, is not taken for that to the next
// offer.
func TestAnswerThatComesTwice(t *testing.T) {
	for name, foreign := range map[string]bool{"of a parley": false, "of another peer": true} {
		t.Run(name, func(t *testing.T) {
			received, on := recordPackets(t)
			var late atomic.Value // SessionDescription
			var block atomic.Bool
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Timeouts.Answer = time.Second
				caller.Signaler.(*wire).foreign, answerer.Signaler.(*wire).foreign = foreign, foreign
				answerer.OnEvent = on
				caller.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
					return text, kind != "offer" || !block.Load()
				}
				answerer.Signaler.(*wire).see = func(kind string, d SessionDescription) {
					if kind == "answer" {
						late.Store(d)
					}
				}
			})
			a.awaitConnected()
			b.awaitConnected()
			a.must(func(ctx context.Context) error { return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeOpus, "one")) })
			received.await("one")
			block.Store(true)
			first := late.Load().(SessionDescription)
			done := make(chan error, 1)
			a.begin(a.call.addTrack(rawTrack(t, webrtc.MimeTypeVP8, "two")), done)
			await(a, func(e SignalingStateChanged) bool { return e.State == webrtc.SignalingStateHaveLocalOffer })
			a.call.DeliverAnswer(first)
			if !foreign {
				block.Store(false)
				if err := <-done; err != nil {
					t.Fatalf("the second change: %v", err)
				}
				received.await("two")
				return
			}
			if err := <-done; err == nil {
				t.Fatal("the second change is reported as done, and was never sent")
			}
			block.Store(false)
			a.must(func(ctx context.Context) error { return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "three")) })
			received.await("three")
		})
	}
}

// When the offer of a peer that is no parley crosses ours and it does not yield, its offer is
// answered after the first time-out, and our change comes about after that.
func TestGlareWithAPeerThatDoesNotYield(t *testing.T) {
	page := newOriginalPage(t)
	s := page.callsTerminalBy(func(Signaler) Signaler { return ignoringPeer{page} },
		func(cfg *Config) { cfg.Timeouts.Answer = tickInterval })
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
	s.forget()
	changed := make(chan error, 1)
	s.begin(s.call.addTrack(testTrack(t, webrtc.MimeTypeOpus)), changed)
	await(s, func(e SignalingStateChanged) bool { return e.State == webrtc.SignalingStateHaveLocalOffer })
	page.peer.DeliverOffer(SessionDescription{SDP: offer.SDP})
	await(s, func(e SignalingStateChanged) bool { return e.State == webrtc.SignalingStateHaveRemoteOffer })
	if err := <-changed; err != nil {
		t.Errorf("our change: %v", err)
	}
	if got := page.pc.RemoteDescription().SDP; !strings.Contains(got, "m=audio") || !strings.Contains(got, "m=video") {
		t.Errorf("the page has not both tracks:\n%s", got)
	}
	if err := page.channel.SendText("still here"); err != nil {
		t.Fatal(err)
	}
	s.awaitText("still here")
}

// Consent expires after 30 s without an answer from the peer (RFC 7675 section 5.1): nothing is
// sent any more, whatever the time-outs of the configuration are.
func TestConsentExpires(t *testing.T) {
	l := newLab(t)
	t.Parallel()
	var offers atomic.Int32
	a, b := l.pair(t, func(caller, answerer *Config) {
		caller.Timeouts.Failed, answerer.Timeouts.Failed = 5*time.Minute, 5*time.Minute
		caller.Timeouts.Restart, answerer.Timeouts.Restart = 5*time.Minute, 5*time.Minute
		caller.Signaler.(*wire).filter = func(kind, text string) (string, bool) { return text, kind != "offer" || offers.Add(1) == 1 }
		answerer.Signaler.(*wire).filter = func(kind, text string) (string, bool) { return text, kind != "offer" }
	})
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	l.down.Store(true)
	began := time.Now()
	failed := await(a, func(e StateChanged) bool { return e.State == webrtc.PeerConnectionStateFailed })
	if failed.Silence < consentTimeout || failed.Silence > consentTimeout+10*time.Second {
		t.Errorf("consent has expired after %s, want %s", failed.Silence, consentTimeout)
	}
	await(a, func(e CandidateFound) bool { return !e.Remote }) // of the restart that has given the path up
	if pair, err := a.call.stats.live[0].pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair(); err == nil && pair != nil {
		t.Errorf("after %s there is still the pair %v", time.Since(began), pair)
	}
}

func TestFailedConnectionReconnects(t *testing.T) {
	for name, winner := range map[string]bool{"the caller restarts": true, "the answerer restarts": false} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			t.Parallel()
			a, b := l.pair(t, func(caller, answerer *Config) {
				caller.Impolite, answerer.Impolite = winner, !winner
			})
			a.call.Say("before")
			b.awaitText("before")
			a.awaitConnected()
			b.awaitConnected()
			a.forget()
			b.forget()
			l.down.Store(true)
			a.awaitState(webrtc.PeerConnectionStateDisconnected)
			b.awaitState(webrtc.PeerConnectionStateDisconnected)
			a.call.Say("under way")
			a.awaitState(webrtc.PeerConnectionStateFailed)
			b.awaitState(webrtc.PeerConnectionStateFailed)
			l.down.Store(false)
			a.awaitConnected()
			b.awaitConnected()
			b.awaitText("under way")
			b.call.Say("after")
			a.awaitText("after")
		})
	}
}

func TestALongOutageEndsTheCall(t *testing.T) {
	l := newLab(t)
	a, b := l.pair(t, func(caller, _ *Config) { caller.Timeouts.Restart = time.Second })
	a.awaitConnected()
	b.awaitConnected() // else it would leave
	l.down.Store(true)
	_, err := a.awaitEnd()
	var failure *Error
	if !errors.As(err, &failure) || failure.Stage != Connection {
		t.Errorf("ended with %v", err)
	}
}

// A path that comes back long after an ICE restart is found: Pion's seven checks
// of a pair would be over by then.
func TestPathWorksAgainLate(t *testing.T) {
	l := newLab(t)
	t.Parallel()
	a, b := l.pair(t, func(caller, answerer *Config) {
		caller.Impolite = true
		caller.Timeouts.Failed, answerer.Timeouts.Failed = 8*time.Second, 8*time.Second
	})
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	l.down.Store(true)
	a.awaitState(webrtc.PeerConnectionStateFailed)
	time.Sleep(2 * time.Second) // more than those seven take
	l.down.Store(false)
	a.awaitConnected()
	a.call.Say("found")
	b.awaitText("found")
	if n := happenings(a, func(e StateChanged) bool { return e.State == webrtc.PeerConnectionStateFailed }); n > 1 {
		t.Errorf("it took %d restarts", n)
	}
}

// While signaling is unavailable, a call does nothing to a path that may come back: it does, and
// the call goes on.
func TestNoRestartWithoutSignaling(t *testing.T) {
	l := newLab(t)
	t.Parallel()
	var offers atomic.Int32
	a, b := l.pair(t, func(caller, answerer *Config) {
		caller.Impolite = true
		for _, c := range []*Config{caller, answerer} {
			c.Timeouts.Failed, c.Timeouts.RestartAfter, c.Timeouts.Answer = time.Minute, time.Millisecond, 100*time.Millisecond
			c.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
				return text, kind != "offer" || offers.Add(1) == 1
			}
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	b.forget()
	l.down.Store(true)
	a.awaitState(webrtc.PeerConnectionStateDisconnected)
	b.awaitState(webrtc.PeerConnectionStateDisconnected)
	for offers.Load() < 5 { // of both, and again
		await(a, func(SignalingStateChanged) bool { return true })
		runtime.Gosched()
	}
	l.down.Store(false)
	a.awaitConnected()
	b.awaitConnected()
	a.call.Say("still here")
	b.awaitText("still here")
	b.call.Say("and there")
	a.awaitText("and there")
	for _, s := range []*side{a, b} {
		if n := happenings(s, func(e CandidateFound) bool { return !e.Remote }); n > 0 {
			t.Errorf("%s gathered %d candidates anew", s.name, n)
		}
	}
}

// A call that had nothing to say for long has not been silent for long when its path is lost:
// checks were answered.
func TestSilenceOfAnIdleCall(t *testing.T) {
	l := newLab(t)
	t.Parallel()
	a, b := l.pair(t, nil)
	a.awaitConnected()
	b.awaitConnected()
	a.call.Say("hello")
	b.awaitText("hello")
	idle := time.Now()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		pair, _ := a.call.stats.live[0].pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
		if pair.ResponsesReceived > 50 { // of one each 167 ms
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d answers", pair.ResponsesReceived)
		}
	}
	was := time.Since(idle)
	l.down.Store(true)
	cut := time.Now()
	for _, s := range []*side{a, b} {
		lost := await(s, func(e StateChanged) bool { return e.State == webrtc.PeerConnectionStateDisconnected })
		if most := time.Since(cut) + time.Second; lost.Silence == 0 || lost.Silence > most {
			t.Errorf("%s was silent for %v, after %v without data, want at most %v", s.name, lost.Silence, was, most)
		}
	}
}

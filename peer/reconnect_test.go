package peer

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v4/vnet"
	"github.com/pion/webrtc/v4"
)

// lab is a network with two hosts, of which packets can be lost. lab is made before
// t.Parallel, because vnet counts its addresses without a lock.
type lab struct {
	hosts [2]*vnet.Net
	down  atomic.Bool
	mute  atomic.Int32 // the last number of the address that is not received
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{}
	router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/24", LoggerFactory: logging.NewDefaultLoggerFactory()})
	if err != nil {
		t.Fatal(err)
	}
	router.AddChunkFilter(func(c vnet.Chunk) bool { return !l.down.Load() && !l.muted(c) })
	for i, ip := range []string{"10.0.0.1", "10.0.0.2"} {
		if l.hosts[i], err = vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}}); err != nil {
			t.Fatal(err)
		}
		if err := router.AddNet(l.hosts[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := router.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = router.Stop() })
	return l
}

// pair makes a call in the lab, with short timeouts.
func (l *lab) pair(t *testing.T, edit func(caller, answerer *Config)) (*side, *side) {
	return pair(t, func(caller, answerer *Config) {
		for i, c := range []*Config{caller, answerer} {
			c.Net = l.hosts[i]
			c.Timeouts.Disconnected, c.Timeouts.Failed = 500*time.Millisecond, 1500*time.Millisecond
		}
		if edit != nil {
			edit(caller, answerer)
		}
	})
}

func (s *side) awaitState(state webrtc.PeerConnectionState) {
	s.t.Helper()
	await(s, func(e StateChanged) bool { return e.State == state })
}

// forget makes await look at later events only.
func (s *side) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = nil
}

func TestAShortOutageNeedsNoRestart(t *testing.T) {
	l := newLab(t)
	a, b := l.pair(t, func(caller, answerer *Config) {
		caller.Timeouts.Failed, answerer.Timeouts.Failed = time.Minute, time.Minute
	})
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	l.down.Store(true)
	a.awaitState(webrtc.PeerConnectionStateDisconnected)
	l.down.Store(false)
	a.awaitConnected()
	a.call.Say("still here")
	b.awaitText("still here")
	if n := happenings(a, func(e CandidateFound) bool { return !e.Remote }); n > 0 {
		t.Errorf("%d candidates were gathered anew", n)
	}
}

func TestRestartICE(t *testing.T) {
	a, b := pair(t, nil)
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	a.call.RestartICE()
	await(a, func(e CandidateFound) bool { return !e.Remote })
	await(a, func(e PairSelected) bool { return true })
	a.call.Say("on the new path")
	b.awaitText("on the new path")
}

// The polite peer restarts ICE as well.
func TestThePolitePeerRestartsICE(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) { caller.Impolite, answerer.Impolite = true, false })
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	b.forget()
	b.call.RestartICE()
	for _, s := range []*side{a, b} {
		await(s, func(e CandidateFound) bool { return !e.Remote })
		await(s, func(e PairSelected) bool { return true })
	}
	b.call.Say("on the new path")
	a.awaitText("on the new path")
}

// An offer that was lost on the way is made again when signaling is back.
func TestALostOfferIsRepeated(t *testing.T) {
	var lose atomic.Bool
	lost := make(chan struct{}, 1)
	a, b := pair(t, func(caller, _ *Config) {
		caller.Impolite = true
		caller.Signaler.(*wire).filter = func(kind, payload string) (string, bool) {
			if kind != "offer" || !lose.Swap(false) {
				return payload, true
			}
			lost <- struct{}{}
			return "", false
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	lose.Store(true)
	a.call.RestartICE()
	<-lost
	a.call.SignalingRestored()
	await(a, func(e PairSelected) bool { return true })
	a.call.Say("on the new path")
	b.awaitText("on the new path")
}

// The peer's loss of signaling alone ends no call; with the path gone too
// there is nothing to wait for.
func TestALostSignalingLeavesTheCall(t *testing.T) {
	l := newLab(t)
	a, b := l.pair(t, nil)
	a.awaitConnected()
	b.awaitConnected()
	a.call.DeliverUnreachable()
	a.call.Say("still here")
	b.awaitText("still here")
	l.down.Store(true)
	if end, err := a.awaitEnd(); end != PeerLeft || err != nil {
		t.Errorf("ended with %v, %v", end, err)
	}
}

// An offer or its answer may get lost without a word: it is sent again, and in the end the change
// is reported to have failed.
func TestLostNegotiationIsRepeated(t *testing.T) {
	for name, of := range map[string]struct {
		wins bool
		lost string // in what
		drop int32
		ice  bool // restart ICE
	}{
		"an offer":          {true, "offer", 1, false},
		"an answer":         {true, "answer", 1, false},
		"a polite offer":    {false, "offer", 1, false},
		"a polite restart":  {false, "offer", 1, true},
		"a polite answer":   {false, "answer", 1, true},
		"two in a row":      {false, "offer", 2, false},
		"all of the offers": {true, "offer", 1000, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var drop atomic.Int32
			filter := func(kind, text string) (string, bool) {
				return text, kind != of.lost || drop.Add(-1) < 0
			}
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Impolite, answerer.Impolite = of.wins, !of.wins
				caller.Timeouts.Answer, answerer.Timeouts.Answer = time.Second, time.Second
				caller.Signaler.(*wire).filter, answerer.Signaler.(*wire).filter = filter, filter
				caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio")}
			})
			a.awaitConnected()
			b.awaitConnected()
			drop.Store(of.drop)
			change := func(ctx context.Context) error { return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "video")) }
			if of.ice {
				change = a.call.Restart
				a.forget()
				defer func() { await(a, func(e CandidateFound) bool { return !e.Remote }) }()
			}
			err := changing(a, change)
			if of.drop < 100 && err != nil || of.drop > 100 && err != errUnanswered {
				t.Errorf("got %v", err)
			}
			a.call.Say("still here")
			b.awaitText("still here")
		})
	}
}

// A call that is disconnected for a while restarts ICE before it fails, in either role, and
// fails if there is no path.
func TestASilentPathIsReplaced(t *testing.T) {
	for name, of := range map[string]struct{ wins, fails bool }{
		"the caller offers":   {true, false},
		"the answerer offers": {false, false},
		"there is no path":    {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			t.Parallel()
			a, b := l.pair(t, func(caller, answerer *Config) {
				caller.Impolite, answerer.Impolite = of.wins, !of.wins
				for _, c := range []*Config{caller, answerer} {
					c.Timeouts.RestartAfter, c.Timeouts.Failed = time.Millisecond, time.Minute
					if of.fails {
						c.Timeouts.Failed = 6 * time.Second
					}
				}
			})
			a.awaitConnected()
			b.awaitConnected()
			a.forget()
			b.forget()
			l.down.Store(true)
			for _, s := range []*side{a, b} {
				await(s, func(e CandidateFound) bool { return !e.Remote })
				if of.fails {
					s.awaitState(webrtc.PeerConnectionStateFailed)
				}
			}
			l.down.Store(false)
			a.awaitConnected()
			b.awaitConnected()
			a.call.Say("on the new path")
			b.awaitText("on the new path")
			if n := happenings(a, func(e StateChanged) bool { return e.State == webrtc.PeerConnectionStateFailed }); n > 0 && !of.fails {
				t.Error("it failed")
			}
		})
	}
}

// stunProbe is the URL of a STUN server that says nothing; asked is closed when it was asked.
func stunProbe(t *testing.T) (servers []webrtc.ICEServer, asked <-chan struct{}) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, received := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if _, _, err := socket.ReadFrom(make([]byte, 1500)); err == nil {
			close(received)
		}
		_, _ = io.Copy(io.Discard, socket.(*net.UDPConn))
	}()
	t.Cleanup(func() { _ = socket.Close(); <-done })
	return []webrtc.ICEServer{{URLs: []string{"stun:" + socket.LocalAddr().String()}}}, received
}

// Both peers use the present servers for an ICE restart, not those of the beginning of the call.
func TestARestartUsesFreshICEServers(t *testing.T) {
	callers, callersAsked := stunProbe(t)
	answerers, answerersAsked := stunProbe(t)
	a, b := pair(t, func(caller, answerer *Config) {
		caller.ICE.FreshServers = func() []webrtc.ICEServer { return callers }
		answerer.ICE.FreshServers = func() []webrtc.ICEServer { return answerers }
		caller.ICE.Loopback, answerer.ICE.Loopback = true, true
	})
	for _, s := range []*side{a, b} {
		s.awaitConnected()
		await(s, func(GatheringComplete) bool { return true })
	}
	select {
	case <-callersAsked:
		t.Error("the caller used them before it had to")
	default:
	}
	a.call.RestartICE()
	<-callersAsked
	<-answerersAsked
}

// ICE may be restarted while candidates are still gathered, by servers that do not answer: with
// -race this fails if the servers are replaced under the gathering.
func TestARestartWhileCandidatesAreGathered(t *testing.T) {
	servers, asked := stunProbe(t)
	a, _ := pair(t, func(caller, _ *Config) {
		caller.ICE.Servers, caller.ICE.FreshServers = servers, func() []webrtc.ICEServer { return servers }
	})
	a.awaitConnected()
	<-asked
	a.must(a.call.Restart)
}

// Consent expires 30 s after the latest answer to a check, not while the process was stopped.
func TestConsentIsOfAnswers(t *testing.T) {
	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	var c consent
	for s := 0; s <= 60; s += 2 {
		if c.update(uint64(s), at(s)) {
			t.Fatalf("expired after %d s with answers", s)
		}
	}
	if c.update(60, at(100)) {
		t.Fatal("expired while nothing was checked")
	}
	expired := 0
	for s := 102; expired == 0 && s < 200; s += 2 {
		if c.update(60, at(s)) {
			expired = s
		}
	}
	if want := 100 + 30 - 4; expired != want {
		t.Errorf("expired at %d s, want %d", expired, want)
	}
	if c.update(61, at(202)) {
		t.Error("expired with an answer")
	}
}

// TestPionCountsAnswers fails if Pion does not check the selected pair any more, or does not count
// the answers, see consent.
func TestPionCountsAnswers(t *testing.T) {
	l := newLab(t)
	t.Parallel()
	a, b := l.pair(t, nil)
	a.awaitConnected()
	b.awaitConnected()
	for _, s := range []*side{a, b} {
		for deadline, before := time.Now().Add(time.Minute), uint64(0); ; time.Sleep(100 * time.Millisecond) {
			pair, _ := s.call.stats.live[0].pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
			if before != 0 && pair.ResponsesReceived > before+1 {
				break
			}
			if before == 0 {
				before = pair.ResponsesReceived
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d answers", s.name, pair.ResponsesReceived)
			}
		}
	}
}

// The path of a call is checked while the transports start, which run beside it: with -race this
// fails if something is read of them before they are connected.
func TestPathIsCheckedWhileTransportsStart(t *testing.T) {
	calls := make(chan *Call, 1)
	a, _ := pair(t, func(caller, _ *Config) {
		caller.OnEvent = func(e Event) {
			if s, ok := e.(SignalingStateChanged); ok && s.State == webrtc.SignalingStateStable { // on the goroutine of Run
				if err := (<-calls).reconnector.checkPath(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	calls <- a.call
	a.awaitConnected()
}

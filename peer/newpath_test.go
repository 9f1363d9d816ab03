package peer

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// A call that is disconnected for a while has another path looked for, before it
// counts as failed, whoever makes the offers; and it does fail if there is none.
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

// While signaling is unavailable, a call does nothing to a path that may come back: it does, and the
// call goes on.
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

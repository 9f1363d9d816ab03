package peer

import (
	"strings"
	"sync"
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
				caller.WinsGlare, answerer.WinsGlare = of.wins, !of.wins
				for _, c := range []*Config{caller, answerer} {
					c.RestartAfter, c.FailedTimeout = time.Millisecond, time.Minute
					if of.fails {
						c.FailedTimeout = 6 * time.Second
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

// The wish for another path may come when the old one is back: it changes nothing.
func TestALateWishForAPathIsIgnored(t *testing.T) {
	l := newLab(t)
	t.Parallel()
	var mu sync.Mutex
	wish, offers := "", 0
	sent := make(chan struct{})
	a, b := l.pair(t, func(caller, answerer *Config) {
		caller.WinsGlare = true
		for _, c := range []*Config{caller, answerer} {
			c.DisconnectedTimeout, c.FailedTimeout, c.RestartAfter = 3*time.Second, time.Minute, time.Millisecond
			c.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case kind != "offer":
				case !strings.Contains(text, "a=parley-wish:path"):
					offers++
				case c == answerer && wish == "":
					wish = text
					close(sent)
					return "", false
				default:
					return "", false
				}
				return text, true
			}
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	l.down.Store(true)
	<-sent
	a.awaitState(webrtc.PeerConnectionStateDisconnected)
	a.forget()
	l.down.Store(false)
	a.awaitConnected()
	a.call.DeliverOffer(wish)
	a.call.Say("still here")
	b.awaitText("still here")
	mu.Lock()
	defer mu.Unlock()
	if offers != 1 {
		t.Errorf("%d offers were made", offers)
	}
}

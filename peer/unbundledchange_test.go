package peer

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// apartWire is what one side says in a call without BUNDLE.
type apartWire struct {
	spoiled atomic.Bool              // no offer can be taken
	latest  atomic.Pointer[[]string] // the ICE credentials of its last description
}

func (w *apartWire) credentials() []string { return *w.latest.Load() }

// credentialsOf are the user fragments and passwords of a description in order.
func credentialsOf(text string) (all []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "a=ice-ufrag:") || strings.HasPrefix(line, "a=ice-pwd:") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// apart makes a wire one between foreign peers that do not bundle: neither peer
// sees a group, or that the other is a parley.
func apart(cfg *Config) *apartWire {
	w := &apartWire{}
	cfg.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
		if kind != "offer" && kind != "answer" {
			return text, true
		}
		said := credentialsOf(text)
		w.latest.Store(&said)
		if kind == "offer" && w.spoiled.Load() {
			text = strings.Replace(text, "a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap:0 urn:x\r\n", 1)
		}
		head, sections, _ := strings.Cut(text, "\r\nm=")
		var kept []string
		for _, line := range strings.Split(head, "\r\n") {
			switch {
			case strings.HasPrefix(line, "a=group:BUNDLE"):
			case strings.HasPrefix(line, "s="):
				kept = append(kept, "s=-")
			default:
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\r\n") + "\r\nm=" + sections, true
	}
	return w
}

// unbundledPair is a call of audio and text on a connection each, and what is received at each peer.
func unbundledPair(t *testing.T) (sides [2]*side, heard [2]*listener, said [2]*apartWire) {
	a, b := pair(t, func(caller, answerer *Config) {
		for i, cfg := range []*Config{caller, answerer} {
			said[i] = apart(cfg)
			cfg.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, fmt.Sprint("sound", i))}
			heard[i], cfg.OnEvent = listen(t)
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	heard[0].hears("sound1")
	heard[1].hears("sound0")
	return [2]*side{a, b}, heard, said
}

// A call whose sections are not bundled is changed as any other, from either peer.
func TestChangesWithoutBundle(t *testing.T) {
	for i, who := range []string{"caller", "answerer"} {
		t.Run(who, func(t *testing.T) {
			sides, listeners, _ := unbundledPair(t)
			s, other, heard := sides[i], sides[1-i], listeners[1-i]
			sound := s.call.cfg.Media.Tracks[0]

			s.must(func(done func(error)) { s.call.Hold(true, done) })
			await(other, func(e TrackMuted) bool { return e.Muted })
			s.must(func(done func(error)) { s.call.Hold(false, done) })
			heard.hears(fmt.Sprint("sound", i))

			picture := rawTrack(t, webrtc.MimeTypeVP8, "picture")
			s.must(func(done func(error)) { s.call.AddTrack(picture, done) })
			heard.hears("picture")
			film := raw{rawTrack(t, webrtc.MimeTypeVP9, "film")}
			s.must(func(done func(error)) { s.call.ReplaceTrack(picture, film, done) })
			heard.hears("film")
			s.must(func(done func(error)) { s.call.RemoveTrack(film, done) })
			s.must(func(done func(error)) { s.call.AddTrack(rawTrack(t, webrtc.MimeTypeVP8, "again"), done) })
			heard.hears("again")
			other.must(func(done func(error)) { other.call.AddTrack(rawTrack(t, webrtc.MimeTypeVP8, "back"), done) })
			listeners[i].hears("back")

			s.must(func(done func(error)) { s.call.ReplaceTrack(sound, rawTrack(t, webrtc.MimeTypeOpus, "other"), done) })
			heard.hears("other")
			s.call.Say("still here")
			other.awaitText("still here")
		})
	}
}

// raw reports its codec.
type raw struct{ *webrtc.TrackLocalStaticRTP }

func (r raw) Codec() string { return r.TrackLocalStaticRTP.Codec().MimeType }

// transports is the number of transports that a side has.
func (s *side) transports() int { return len(s.call.Stats().Report.ByType("transport")) }

// ICE is restarted from either peer, as often as wanted: each transport gets credentials of its own, and media go on.
func TestRestartWithoutBundle(t *testing.T) {
	sides, heard, said := unbundledPair(t)
	for i, s := range sides {
		for n := range 2 {
			for _, s := range sides {
				s.forget()
			}
			before := [2][]string{said[0].credentials(), said[1].credentials()}
			s.must(s.call.Restart)
			for _, s := range sides {
				for n := range 2 {
					await(s, func(PairSelected) bool { return happenings(s, func(PairSelected) bool { return true }) > n })
				}
			}
			for i, w := range said {
				if all := slices.Concat(before[i], w.credentials()); len(all) != 8 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 8 {
					t.Errorf("restart %d: credentials %q after %q", n, w.credentials(), before[i])
				}
			}
			heard[0].hears("sound1")
			heard[1].hears("sound0")
			sides[1-i].call.Say("still here")
			s.awaitText("still here")
		}
	}
}

// Who called restarts ICE when all paths are gone, and the call comes back.
func TestFailedCallWithoutBundleReconnects(t *testing.T) {
	l := newLab(t)
	var heard [2]*listener
	a, b := l.pair(t, func(caller, answerer *Config) {
		answerer.Timeouts.Failed = time.Minute // and waits
		for i, cfg := range []*Config{caller, answerer} {
			apart(cfg)
			cfg.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, fmt.Sprint("sound", i))}
			heard[i], cfg.OnEvent = listen(t)
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	l.down.Store(true)
	a.awaitState(webrtc.PeerConnectionStateFailed)
	l.down.Store(false)
	a.awaitConnected()
	heard[0].hears("sound1")
	heard[1].hears("sound0")
	a.call.Say("after")
	b.awaitText("after")
}

// An offer that is rejected leaves a call of several connections as it was.
func TestRejectedOfferWithoutBundle(t *testing.T) {
	sides, heard, said := unbundledPair(t)
	for range 2 {
		said[0].spoiled.Store(true)
		picture := rawTrack(t, webrtc.MimeTypeVP8, "picture")
		sides[0].call.AddTrack(picture, nil)
		await(sides[1], func(w Warned) bool { return strings.Contains(w.Text, "extmap") })
		await(sides[0], func(e TrackRejected) bool { return e.Track == picture })
		sides[1].forget()
		sides[0].forget()
		heard[1].hears("sound0")
		said[0].spoiled.Store(false)
		if n := sides[0].transports(); n != 2 {
			t.Errorf("%d transports, want 2", n)
		}
	}
	sides[0].must(func(done func(error)) { sides[0].call.AddTrack(rawTrack(t, webrtc.MimeTypeVP8, "taken"), done) })
	heard[1].hears("taken")
}

// The first channel of such a call gets a connection of its own.
func TestAChannelWithoutBundle(t *testing.T) {
	for _, who := range []string{"caller", "answerer"} {
		t.Run(who, func(t *testing.T) {
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Channels = nil
				for _, cfg := range []*Config{caller, answerer} {
					apart(cfg)
					cfg.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "sound")}
				}
			})
			a.awaitConnected()
			b.awaitConnected()
			if who == "answerer" {
				a, b = b, a
			}
			ch, err := a.call.OpenChannel(t.Context(), datachannel.Options{Label: "late"})
			if err == nil {
				err = ch.Write(t.Context(), []byte("hello"), true)
			}
			if err != nil {
				t.Fatal(err)
			}
			b.awaitText("hello")
			if n := a.transports(); n != 2 {
				t.Errorf("%d transports, want 2", n)
			}
			if pairs := a.call.Pairs(); len(pairs) < 2 || !pairs[0].Nominated || !pairs[1].Nominated {
				t.Errorf("the pairs are %+v", pairs)
			}
		})
	}
}

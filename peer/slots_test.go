package peer

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/webrtc/v4"
)

// apart makes a wire one between foreign peers that do not bundle: neither side
// sees a group, or that the other is a parley. While it is spoiled, no offer can be taken.
func apart(cfg *Config) (spoiled *atomic.Bool) {
	spoiled = &atomic.Bool{}
	cfg.Signaler.(*wire).filter = func(kind, text string) (string, bool) {
		if kind != "offer" && kind != "answer" {
			return text, true
		}
		if kind == "offer" && spoiled.Load() {
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
	return spoiled
}

// unbundledPair is a call of sound and text on a connection each, and what is heard at each side.
func unbundledPair(t *testing.T) (sides [2]*side, heard [2]*listener, spoiled [2]*atomic.Bool) {
	a, b := pair(t, func(caller, answerer *Config) {
		for i, cfg := range []*Config{caller, answerer} {
			spoiled[i] = apart(cfg)
			cfg.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, fmt.Sprint("sound", i))}
			heard[i], cfg.OnEvent = listen(t)
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	heard[0].hears("sound1")
	heard[1].hears("sound0")
	return [2]*side{a, b}, heard, spoiled
}

// A call whose sections are not bundled is changed as any other, from either side.
func TestChangesWithoutBundle(t *testing.T) {
	for i, who := range []string{"caller", "answerer"} {
		t.Run(who, func(t *testing.T) {
			sides, listeners, _ := unbundledPair(t)
			s, other, heard := sides[i], sides[1-i], listeners[1-i]
			sound := s.call.cfg.Tracks[0]

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

// raw tells its codec.
type raw struct{ *webrtc.TrackLocalStaticRTP }

func (r raw) Codec() string { return r.TrackLocalStaticRTP.Codec().MimeType }

// transports is the number of transports that a side has.
func (s *side) transports() int { return len(s.call.Stats().Report.of("transport")) }

// Who answered can restart ICE on all transports. Who offered cannot, and says so.
func TestRestartWithoutBundle(t *testing.T) {
	sides, heard, _ := unbundledPair(t)
	if err := changing(sides[0], sides[0].call.Restart); err != errFixed {
		t.Errorf("the caller restarts: %v, want %v", err, errFixed)
	}
	for range 2 {
		for _, s := range sides {
			s.forget()
		}
		sides[1].must(sides[1].call.Restart)
		for n := range 2 {
			await(sides[1], func(PairSelected) bool { return happenings(sides[1], func(PairSelected) bool { return true }) > n })
		}
		heard[0].hears("sound1")
		heard[1].hears("sound0")
		sides[0].call.Say("still here")
		sides[1].awaitText("still here")
	}
}

// An offer that is refused leaves a call of several connections as it was.
func TestRefusedOfferWithoutBundle(t *testing.T) {
	sides, heard, spoiled := unbundledPair(t)
	for range 2 {
		spoiled[0].Store(true)
		picture := rawTrack(t, webrtc.MimeTypeVP8, "picture")
		sides[0].call.AddTrack(picture, nil)
		await(sides[1], func(w Warned) bool { return strings.Contains(w.Text, "extmap") })
		await(sides[0], func(e TrackRefused) bool { return e.Track == picture })
		sides[1].forget()
		sides[0].forget()
		heard[1].hears("sound0")
		spoiled[0].Store(false)
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
					cfg.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "sound")}
				}
			})
			a.awaitConnected()
			b.awaitConnected()
			if who == "answerer" {
				a, b = b, a
			}
			ch, err := a.call.OpenChannel(t.Context(), ChannelOptions{Label: "late"})
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

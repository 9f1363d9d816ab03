package peer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// apartWire records the descriptions that one side sends in a call without BUNDLE.
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
		credentials := credentialsOf(text)
		w.latest.Store(&credentials)
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

// unbundledPair is a call of audio and text on a connection each, and what is received at each
// peer.
func unbundledPair(t *testing.T) (sides [2]*side, received [2]*packetLog, wires [2]*apartWire) {
	a, b := pair(t, func(caller, answerer *Config) {
		for i, cfg := range []*Config{caller, answerer} {
			wires[i] = apart(cfg)
			cfg.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, fmt.Sprint("audio", i))}
			received[i], cfg.OnEvent = recordPackets(t)
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	received[0].await("audio1")
	received[1].await("audio0")
	return [2]*side{a, b}, received, wires
}

// A call whose sections are not bundled is changed as any other, from either peer.
func TestChangesWithoutBundle(t *testing.T) {
	for i, who := range []string{"caller", "answerer"} {
		t.Run(who, func(t *testing.T) {
			sides, logs, _ := unbundledPair(t)
			s, other, received := sides[i], sides[1-i], logs[1-i]
			audio := s.call.cfg.Media.Tracks[0]

			s.must(func(ctx context.Context) error { return s.call.Hold(ctx, true) })
			await(other, func(e TrackMuted) bool { return e.Muted })
			s.must(func(ctx context.Context) error { return s.call.Hold(ctx, false) })
			received.await(fmt.Sprint("audio", i))

			video := rawTrack(t, webrtc.MimeTypeVP8, "video")
			s.must(func(ctx context.Context) error { return s.call.AddTrack(ctx, video) })
			received.await("video")
			film := raw{rawTrack(t, webrtc.MimeTypeVP9, "film")}
			s.must(func(ctx context.Context) error { return s.call.ReplaceTrack(ctx, video, film) })
			received.await("film")
			s.must(func(ctx context.Context) error { return s.call.RemoveTrack(ctx, film) })
			s.must(func(ctx context.Context) error { return s.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "again")) })
			received.await("again")
			other.must(func(ctx context.Context) error {
				return other.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "back"))
			})
			logs[i].await("back")

			s.must(func(ctx context.Context) error {
				return s.call.ReplaceTrack(ctx, audio, rawTrack(t, webrtc.MimeTypeOpus, "other"))
			})
			received.await("other")
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

// ICE is restarted from either peer, as often as wanted: each transport gets credentials of its
// own, and media go on.
func TestRestartWithoutBundle(t *testing.T) {
	sides, received, wires := unbundledPair(t)
	for i, s := range sides {
		for n := range 2 {
			for _, s := range sides {
				s.forget()
			}
			before := [2][]string{wires[0].credentials(), wires[1].credentials()}
			s.must(s.call.Restart)
			for _, s := range sides {
				for n := range 2 {
					await(s, func(PairSelected) bool { return happenings(s, func(PairSelected) bool { return true }) > n })
				}
			}
			for i, w := range wires {
				if all := slices.Concat(before[i], w.credentials()); len(all) != 8 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 8 {
					t.Errorf("restart %d: credentials %q after %q", n, w.credentials(), before[i])
				}
			}
			received[0].await("audio1")
			received[1].await("audio0")
			sides[1-i].call.Say("still here")
			s.awaitText("still here")
		}
	}
}

// Who called restarts ICE when all paths are gone, and the call comes back.
func TestFailedCallWithoutBundleReconnects(t *testing.T) {
	l := newLab(t)
	var received [2]*packetLog
	a, b := l.pair(t, func(caller, answerer *Config) {
		answerer.Timeouts.Failed = time.Minute // and waits
		for i, cfg := range []*Config{caller, answerer} {
			apart(cfg)
			cfg.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, fmt.Sprint("audio", i))}
			received[i], cfg.OnEvent = recordPackets(t)
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	l.down.Store(true)
	a.awaitState(webrtc.PeerConnectionStateFailed)
	l.down.Store(false)
	a.awaitConnected()
	received[0].await("audio1")
	received[1].await("audio0")
	a.call.Say("after")
	b.awaitText("after")
}

// An offer that is rejected leaves a call of several connections as it was.
func TestRejectedOfferWithoutBundle(t *testing.T) {
	sides, received, wires := unbundledPair(t)
	for range 2 {
		wires[0].spoiled.Store(true)
		video := rawTrack(t, webrtc.MimeTypeVP8, "video")
		sides[0].call.request(sides[0].call.addTrack(video))
		await(sides[1], func(w Warned) bool { return strings.Contains(w.Text, "extmap") })
		await(sides[0], func(e TrackRejected) bool { return e.Track == video })
		sides[1].forget()
		sides[0].forget()
		received[1].await("audio0")
		wires[0].spoiled.Store(false)
		if n := sides[0].transports(); n != 2 {
			t.Errorf("%d transports, want 2", n)
		}
	}
	sides[0].must(func(ctx context.Context) error {
		return sides[0].call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "taken"))
	})
	received[1].await("taken")
}

// The first channel of such a call gets a connection of its own.
func TestAChannelWithoutBundle(t *testing.T) {
	for _, who := range []string{"caller", "answerer"} {
		t.Run(who, func(t *testing.T) {
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Channels = nil
				for _, cfg := range []*Config{caller, answerer} {
					apart(cfg)
					cfg.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio")}
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

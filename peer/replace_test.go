package peer

import (
	"errors"
	"testing"

	"github.com/pion/webrtc/v4"
)

// rawCoded is a raw track that tells its codec, as files do.
type rawCoded struct{ *webrtc.TrackLocalStaticRTP }

func (c rawCoded) Codec() string { return c.TrackLocalStaticRTP.Codec().MimeType }

// A track of another codec takes the place of one, and of one in several sizes,
// in mid-call and by either side; and back. What is sent beside it goes on, and
// the place is used again rather than a new one taken each time.
func TestReplaceByAnotherCodec(t *testing.T) {
	for name, of := range map[string]struct{ wins, layers bool }{
		"the winner of a tie":        {true, false},
		"the loser":                  {false, false},
		"the winner, in three sizes": {true, true},
		"the loser, in three sizes":  {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			heard, on := listen(t)
			var first webrtc.TrackLocal = rawCoded{rawTrack(t, webrtc.MimeTypeVP8, "first")}
			if of.layers {
				first = newLayeredTrack(t)
			}
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Impolite, answerer.Impolite = of.wins, !of.wins
				caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "sound"), first}
				answerer.OnEvent = on
			})
			a.awaitConnected()
			b.awaitConnected()
			if !of.layers {
				heard.hears("first")
			}
			sections := 0
			for range 3 {
				second := rawCoded{rawTrack(t, webrtc.MimeTypeH264, "second")}
				a.must(func(done func(error)) { a.call.ReplaceTrack(first, second, done) })
				heard.hears("second")
				heard.hears("sound")
				first = rawCoded{rawTrack(t, webrtc.MimeTypeVP8, "third")}
				a.must(func(done func(error)) { a.call.ReplaceTrack(second, first, done) })
				heard.hears("third")
				if sections == 0 {
					sections = len(a.call.stats.live[0].pc.GetTransceivers())
				}
			}
			if now := len(a.call.stats.live[0].pc.GetTransceivers()); now != sections {
				t.Errorf("%d transceivers, %d after the first exchange", now, sections)
			}
			await(b, func(e TrackReceived) bool { return e.Track.Codec().MimeType == webrtc.MimeTypeH264 })
			if n := happenings(b, func(Warned) bool { return true }) + happenings(a, func(Warned) bool { return true }); n > 0 {
				t.Errorf("there were warnings: %s%s", a.summary(), b.summary())
			}
		})
	}
}

// What is muted stays so when a track of another codec takes its place.
func TestReplaceStaysMuted(t *testing.T) {
	first, second := rawCoded{rawTrack(t, webrtc.MimeTypeVP8, "first")}, rawCoded{rawTrack(t, webrtc.MimeTypeH264, "second")}
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{first} })
	a.awaitConnected()
	b.awaitConnected()
	a.must(func(done func(error)) { a.call.Mute(first, true, done) })
	a.must(func(done func(error)) { a.call.ReplaceTrack(first, second, done) })
	a.must(func(done func(error)) {
		a.call.request(&change{done: done, make: func() (func(), error) {
			_, out, err := a.call.tracks.find(second)
			if err == nil && !out.Muted() {
				err = errors.New("it can be seen")
			}
			return nil, err
		}})
	})
}

// TestReplaceByATrackThatCannotBeBound: a track whose codec was not negotiated does not take the place of
// another one, which is sent on.
func TestReplaceByATrackThatCannotBeBound(t *testing.T) {
	heard, on := listen(t)
	first := rawTrack(t, webrtc.MimeTypeVP8, "first")
	a, b := pair(t, func(caller, answerer *Config) { caller.Media.Tracks, answerer.OnEvent = []webrtc.TrackLocal{first}, on })
	a.awaitConnected()
	b.awaitConnected()
	heard.hears("first")
	second, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: "video/unknown"}, "second", "parley")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := changing(a, func(done func(error)) { a.call.ReplaceTrack(first, second, done) }); !errors.Is(err, webrtc.ErrUnsupportedCodec) {
			t.Errorf("replaced by a track of an unknown codec: %v, want %v", err, webrtc.ErrUnsupportedCodec)
		}
		heard.hears("first")
	}
	if n := happenings(a, func(TrackRejected) bool { return true }); n > 0 {
		t.Errorf("TrackRejected came %d times for a change that reports its error itself", n)
	}
}

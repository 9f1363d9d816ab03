package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/stats"
)

// changing makes a change and waits for its result.
func changing(s *side, change func(context.Context) error) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	err := change(ctx)
	if ctx.Err() != nil {
		s.t.Fatalf("%s: the change has no result; there were %s", s.name, s.summary())
	}
	return err
}

func (s *side) must(change func(context.Context) error) {
	s.t.Helper()
	if err := changing(s, change); err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

// begin requests a change, whose result is sent to results.
func (s *side) begin(ch *change, results chan<- error) {
	result := s.call.request(ch)
	go func() { results <- <-result }()
}

// keyOf begins what is a key frame of a codec in one packet.
func keyOf(mime string) string {
	return map[string]string{webrtc.MimeTypeVP8: "\x10\x10", webrtc.MimeTypeH264: "\x65"}[mime]
}

// pump writes to a track until the test ends or stop is called.
func pump(t *testing.T, track *webrtc.TrackLocalStaticRTP) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	payload := []byte(keyOf(track.Codec().MimeType) + track.ID())
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := uint16(0); ; n++ {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			p := rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n, Timestamp: uint32(n) * 480, Marker: true}, Payload: payload}
			if err := track.WriteRTP(&p); err != nil {
				return
			}
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { close(quit); <-done }) }
	t.Cleanup(stop)
	return stop
}

// rawTrack is a track whose packets are key frames, and carry its name.
func rawTrack(t *testing.T, mime, name string) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, name, "parley")
	if err != nil {
		t.Fatal(err)
	}
	pump(t, track)
	return track
}

// packetLog records the RTP packets of the tracks that a call receives.
type packetLog struct {
	t    *testing.T
	mu   sync.Mutex // protects following
	seen []rtp.Packet
	more chan struct{}
}

// recordPackets returns a log and the OnEvent of the call whose packets it records.
func recordPackets(t *testing.T) (*packetLog, func(Event)) {
	return recordPacketsWith(t, func(TrackReceived) string { return "" })
}

// recordPacketsWith is recordPackets that adds the result of end for the track to the payload of
// each packet.
func recordPacketsWith(t *testing.T, end func(TrackReceived) string) (*packetLog, func(Event)) {
	l := &packetLog{t: t, more: make(chan struct{})}
	var readers sync.WaitGroup
	t.Cleanup(readers.Wait)
	return l, func(e Event) {
		if e, ok := e.(TrackReceived); ok {
			readers.Go(func() {
				for {
					p, _, err := e.Track.ReadRTP()
					if err != nil {
						return
					}
					p.Payload = append(p.Payload, end(e)...)
					l.note(p)
				}
			})
		}
	}
}

func (l *packetLog) note(p *rtp.Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, *p)
	close(l.more)
	l.more = make(chan struct{})
}

// await waits for a packet whose payload ends so, after those that have come.
func (l *packetLog) await(end string) {
	l.t.Helper()
	l.mu.Lock()
	next := len(l.seen)
	l.mu.Unlock()
	timeout := time.After(deadline)
	for {
		l.mu.Lock()
		fresh, more := l.seen[next:], l.more
		next = len(l.seen)
		l.mu.Unlock()
		for _, p := range fresh {
			if strings.HasSuffix(string(p.Payload), end) {
				return
			}
		}
		select {
		case <-more:
		case <-timeout:
			l.t.Fatalf("nothing of %q comes", end)
		}
	}
}

// Either side adds, removes, holds and resumes: the one that makes offers and
// the one that has to ask for them.
func TestChangesFromBothPeers(t *testing.T) {
	for name, pick := range map[string]func(a, b *side) (*side, *side){
		"the winner of a tie": func(a, b *side) (*side, *side) { return a, b },
		"the loser":           func(a, b *side) (*side, *side) { return b, a },
	} {
		t.Run(name, func(t *testing.T) {
			receivedA, onA := recordPackets(t)
			receivedB, onB := recordPackets(t)
			a, b := pair(t, func(caller, answerer *Config) {
				caller.OnEvent, answerer.OnEvent = onA, onB
				caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio of a")}
				answerer.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio of b")}
			})
			a.awaitConnected()
			b.awaitConnected()
			s, other := pick(a, b)
			received, from := receivedB, "audio of a"
			back := "audio of b"
			if s == b {
				received, from, back = receivedA, "audio of b", "audio of a"
			}
			mine := map[*packetLog]*packetLog{receivedA: receivedB, receivedB: receivedA}[received]
			received.await(from)

			video := rawTrack(t, webrtc.MimeTypeVP8, "video")
			s.must(func(ctx context.Context) error { return s.call.AddTrack(ctx, video) })
			received.await("video")
			other.must(func(ctx context.Context) error {
				return other.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "answer"))
			})
			mine.await("answer")
			for range 2 {
				s.must(func(ctx context.Context) error { return s.call.RemoveTrack(ctx, video) })
				received.await(from)
				s.must(func(ctx context.Context) error { return s.call.AddTrack(ctx, video) })
				received.await("video")
			}
			for range 3 {
				s.must(func(ctx context.Context) error { return s.call.Hold(ctx, true) })
				awaitReport(other, func(stats.Report) error { return quiet(other, s) })
				s.must(func(ctx context.Context) error { return s.call.Hold(ctx, false) })
				received.await(from)
				received.await("video")
				mine.await(back)
			}
			s.must(s.call.Restart)
			received.await("video")
			if got := happenings(s, func(e Warned) bool { return true }) + happenings(other, func(e Warned) bool { return true }); got > 0 {
				t.Errorf("there were warnings: %s%s", s.summary(), other.summary())
			}
		})
	}
}

// Who asks for offers called with an offer that takes a kind and sends none of
// it: the peer's section for it cannot take, so another one is needed.
func TestAddTrackToACallWithoutTracks(t *testing.T) {
	receivedA, onA := recordPackets(t)
	receivedB, onB := recordPackets(t)
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Impolite, answerer.Impolite = false, true
		caller.OnEvent, answerer.OnEvent = onA, onB
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}
	})
	a.awaitConnected()
	b.awaitConnected()
	a.must(func(ctx context.Context) error { return a.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "there")) })
	receivedB.await("there")
	b.must(func(ctx context.Context) error { return b.call.AddTrack(ctx, rawTrack(t, webrtc.MimeTypeVP8, "back")) })
	receivedA.await("back")
}

// quiet reports of a track of either peer that is not paused.
func quiet(sides ...*side) error {
	for _, s := range sides {
		for _, o := range s.call.Stats().Report.ByType("outbound-rtp") {
			if o["active"] == true {
				return fmt.Errorf("on hold %s still sends %s", s.name, o["kind"])
			}
		}
	}
	return nil
}

// A track takes the place of another: the receiver sees one stream without a
// gap, and nothing is negotiated.
func TestReplaceWithoutNegotiation(t *testing.T) {
	received, on := recordPackets(t)
	first := rawTrack(t, webrtc.MimeTypeVP8, "first")
	a, b := pair(t, func(caller, answerer *Config) { caller.Media.Tracks, answerer.OnEvent = []webrtc.TrackLocal{first}, on })
	a.awaitConnected()
	b.awaitConnected()
	received.await("first")
	second := rawTrack(t, webrtc.MimeTypeVP8, "second")
	a.must(func(ctx context.Context) error { return a.call.ReplaceTrack(ctx, first, second) })
	received.await("second")
	a.must(func(ctx context.Context) error { return a.call.Mute(ctx, second, true) })
	a.must(func(ctx context.Context) error { return a.call.Mute(ctx, second, false) })
	received.await("second")
	if n := happenings(b, func(TrackReceived) bool { return true }); n != 1 {
		t.Errorf("%d tracks came, want one", n)
	}
	received.mu.Lock()
	defer received.mu.Unlock()
	for i, p := range received.seen[1:] {
		before := received.seen[i]
		if p.SequenceNumber != before.SequenceNumber+1 || p.SSRC != before.SSRC || int32(p.Timestamp-before.Timestamp) <= 0 {
			t.Fatalf("packet %d (%d at %d) follows %d at %d", i+1, p.SequenceNumber, p.Timestamp, before.SequenceNumber, before.Timestamp)
		}
	}
	if err := changing(a, func(ctx context.Context) error { return a.call.ReplaceTrack(ctx, first, second) }); err != errNotSent {
		t.Errorf("what is not sent was replaced: %v", err)
	}
}

// Muted audio goes on as silence.
func TestMuteSendsSilence(t *testing.T) {
	received, on := recordPackets(t)
	track := rawTrack(t, webrtc.MimeTypeOpus, "\xfcaudio")
	a, b := pair(t, func(caller, answerer *Config) { caller.Media.Tracks, answerer.OnEvent = []webrtc.TrackLocal{track}, on })
	a.awaitConnected()
	b.awaitConnected()
	received.await("\xfcaudio")
	a.must(func(ctx context.Context) error { return a.call.Mute(ctx, track, true) })
	received.await("\xf8\xff\xfe")
	a.must(func(ctx context.Context) error { return a.call.Mute(ctx, track, false) })
	received.await("\xfcaudio")
}

// What is muted before the call is connected is silent from the first packet on, whichever peer
// calls, and what is paused then is signaled once the call is connected.
func TestMutedBeforeTheCallIsUp(t *testing.T) {
	for name, caller := range map[string]bool{"by the caller": true, "by who answered": false} {
		t.Run(name, func(t *testing.T) {
			received, on := recordPackets(t)
			audio, video := rawTrack(t, webrtc.MimeTypeOpus, "\xfcaudio"), rawTrack(t, webrtc.MimeTypeVP8, "video")
			var a, b *side
			calls := Config{Caller: true, Impolite: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: &wire{to: func() *Call { return b.call }}}
			answers := Config{Signaler: &wire{to: func() *Call { return a.call }}}
			sender, receiver := &calls, &answers
			if !caller {
				sender, receiver = receiver, sender
			}
			receiver.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}
			sender.Media.Tracks, receiver.OnEvent = []webrtc.TrackLocal{audio, video}, on
			a, b = newSide(t, "a", calls), newSide(t, "b", answers)
			muting, receiving := a, b
			if !caller {
				muting, receiving = b, a
			}
			paused := make(chan error, 1)
			muting.call.request(muting.call.muteTrack(audio, true))
			muting.call.request(muting.call.muteTrack(video, true))
			muting.begin(muting.call.pauseTrack(video, true), paused)
			removed := muting.call.request(muting.call.removeTrack(audio))
			b.start()
			a.start()
			if err := <-removed; !errors.Is(err, errNotUp) {
				t.Errorf("a change before the call is up: %v", err)
			}
			received.await("\xf8\xff\xfe")
			await(receiving, func(e TrackMuted) bool { return e.Muted && e.Kind == webrtc.RTPCodecTypeVideo })
			if err := <-paused; err != nil {
				t.Errorf("paused: %v", err)
			}
			received.mu.Lock()
			for _, p := range received.seen {
				if string(p.Payload) != "\xf8\xff\xfe" {
					t.Errorf("%q came", p.Payload)
				}
			}
			received.mu.Unlock()
			muting.must(func(ctx context.Context) error { return muting.call.Mute(ctx, audio, false) })
			received.await("\xfcaudio")
			muting.must(func(ctx context.Context) error { return muting.call.Mute(ctx, video, false) })
			muting.must(func(ctx context.Context) error { return muting.call.PauseTrack(ctx, video, false) })
			received.await("video")
		})
	}
}

// A track without a device is paused: the m-section becomes inactive and then sends again, twice.
func TestPausedTrackIsSignaled(t *testing.T) {
	for name, caller := range map[string]bool{"by the caller": true, "by who answered": false} {
		t.Run(name, func(t *testing.T) {
			received, on := recordPackets(t)
			audio, video := rawTrack(t, webrtc.MimeTypeOpus, "audio"), rawTrack(t, webrtc.MimeTypeVP8, "video")
			a, b := pair(t, func(calls, answers *Config) {
				if !caller {
					calls, answers = answers, calls
					answers.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}
				}
				calls.Media.Tracks, answers.OnEvent = []webrtc.TrackLocal{audio, video}, on
			})
			if !caller {
				a, b = b, a
			}
			a.awaitConnected()
			b.awaitConnected()
			received.await("video")
			for n := range 2 {
				for _, gone := range []bool{true, false} {
					a.must(func(ctx context.Context) error { return a.call.PauseTrack(ctx, video, gone) })
					a.must(func(ctx context.Context) error { return a.call.PauseTrack(ctx, video, gone) }) // once is enough
					seen := 0
					await(b, func(e TrackMuted) bool {
						if e.Muted == gone && e.Kind == webrtc.RTPCodecTypeVideo {
							seen++
						}
						return seen > n
					})
					received.await("audio")
				}
				received.await("video")
			}
			if n := happenings(b, func(TrackMuted) bool { return true }); n != 4 {
				t.Errorf("%d times something was reported, want 4: twice gone and back", n)
			}
			if n := happenings(b, func(TrackReceived) bool { return true }); n != 2 {
				t.Errorf("%d tracks came, want two", n)
			}
			if n := happenings(b, func(e TrackMuted) bool { return e.Kind == webrtc.RTPCodecTypeAudio }); n > 0 {
				t.Error("the audio was muted too")
			}
		})
	}
}

// A thousand requests, from both peers at once, are a few offers.
func TestChangesCoalesce(t *testing.T) {
	var mu sync.Mutex
	offers := 0
	count := func(kind, payload string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		if kind == "offer" && strings.Contains(payload, "m=") {
			offers++
		}
		return payload, true
	}
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "a")}
		answerer.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "b")}
		caller.Signaler.(*wire).filter = count
		answerer.Signaler.(*wire).filter = count
	})
	a.awaitConnected()
	b.awaitConnected()
	result := make(chan error, 1000)
	for i := range 500 {
		a.begin(a.call.hold(i%2 == 0), result)
		b.begin(b.call.hold(i%2 == 0), result)
	}
	timeout := time.After(deadline)
	for range 1000 {
		select {
		case err := <-result:
			if err != nil {
				t.Fatal(err)
			}
		case <-timeout:
			t.Fatal("not all is reported")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d offers", offers)
	if offers > 100 {
		t.Errorf("%d offers for 1000 requests", offers)
	}
}

// A change that is not done when the call ends is reported as failed, and so is one after the end.
func TestChangesOfACallThatIsNotUp(t *testing.T) {
	track := rawTrack(t, webrtc.MimeTypeOpus, "a")
	a, b := pair(t, func(caller, _ *Config) {
		caller.Signaler.(*wire).filter = func(kind, payload string) (string, bool) { return payload, kind != "offer" }
	})
	if err := changing(a, func(ctx context.Context) error { return a.call.AddTrack(ctx, track) }); err != errNotUp {
		t.Errorf("before the call is up: %v", err)
	}
	a.stop()
	b.stop()
	if _, err := a.awaitEnd(); err != nil {
		t.Fatal(err)
	}
	if err := changing(a, func(ctx context.Context) error { return a.call.AddTrack(ctx, track) }); err != ErrOver {
		t.Errorf("after the call: %v", err)
	}

	a, b = pair(t, func(caller, _ *Config) {
		offers := 0
		caller.Signaler.(*wire).filter = func(kind, payload string) (string, bool) {
			if kind == "offer" {
				offers++
			}
			return payload, kind != "offer" || offers == 1 // the next one is lost
		}
	})
	a.awaitConnected()
	b.awaitConnected()
	result := make(chan error, 1)
	a.begin(a.call.addTrack(track), result)
	a.call.Hangup()
	if err := <-result; err != ErrOver {
		t.Errorf("a change that was under way: %v", err)
	}
}

// lossTrack records the loss that is reported to it.
type lossTrack struct {
	*webrtc.TrackLocalStaticRTP
	shares chan float64
}

func (l lossTrack) SetLoss(share float64) {
	select {
	case l.shares <- share:
	default:
	}
}

// What the peer's reports say of a track reaches it, and only of that one.
func TestLossIsReportedToTheTrack(t *testing.T) {
	received, on := recordPackets(t)
	track := lossTrack{rawTrack(t, webrtc.MimeTypeOpus, "audio"), make(chan float64, 1)}
	a, _ := pair(t, func(caller, answerer *Config) { caller.Media.Tracks, answerer.OnEvent = []webrtc.TrackLocal{track}, on })
	a.awaitConnected()
	received.await("audio")
	select {
	case share := <-track.shares:
		if share != 0 {
			t.Errorf("a share of %v is lost on a path that loses nothing", share)
		}
	case <-time.After(deadline):
		t.Error("nothing is reported")
	}
}

// rawCoded is a raw track that reports its codec, as files do.
type rawCoded struct{ *webrtc.TrackLocalStaticRTP }

func (c rawCoded) Codec() string { return c.TrackLocalStaticRTP.Codec().MimeType }

// A track of another codec takes the place of one, and of one in several sizes,
// in a call and by either peer; and back. What is sent beside it goes on, and
// the place is used again rather than a new one taken each time.
func TestReplaceByAnotherCodec(t *testing.T) {
	for name, of := range map[string]struct{ wins, layers bool }{
		"the winner of a tie":        {true, false},
		"the loser":                  {false, false},
		"the winner, in three sizes": {true, true},
		"the loser, in three sizes":  {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			received, on := recordPackets(t)
			var first webrtc.TrackLocal = rawCoded{rawTrack(t, webrtc.MimeTypeVP8, "first")}
			if of.layers {
				first = newLayeredTrack(t)
			}
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Impolite, answerer.Impolite = of.wins, !of.wins
				caller.Media.Tracks = []webrtc.TrackLocal{rawTrack(t, webrtc.MimeTypeOpus, "audio"), first}
				answerer.OnEvent = on
			})
			a.awaitConnected()
			b.awaitConnected()
			if !of.layers {
				received.await("first")
			}
			sections := 0
			for range 3 {
				second := rawCoded{rawTrack(t, webrtc.MimeTypeH264, "second")}
				a.must(func(ctx context.Context) error { return a.call.ReplaceTrack(ctx, first, second) })
				received.await("second")
				received.await("audio")
				first = rawCoded{rawTrack(t, webrtc.MimeTypeVP8, "third")}
				a.must(func(ctx context.Context) error { return a.call.ReplaceTrack(ctx, second, first) })
				received.await("third")
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

// A muted track stays muted when a track of another codec replaces it.
func TestReplaceStaysMuted(t *testing.T) {
	first, second := rawCoded{rawTrack(t, webrtc.MimeTypeVP8, "first")}, rawCoded{rawTrack(t, webrtc.MimeTypeH264, "second")}
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{first} })
	a.awaitConnected()
	b.awaitConnected()
	a.must(func(ctx context.Context) error { return a.call.Mute(ctx, first, true) })
	a.must(func(ctx context.Context) error { return a.call.ReplaceTrack(ctx, first, second) })
	a.must(func(ctx context.Context) error {
		return a.call.change(ctx, &change{make: func() (func(), error) {
			_, out, err := a.call.tracks.find(second)
			if err == nil && !out.Muted() {
				err = errors.New("it can be seen")
			}
			return nil, err
		}})
	})
}

// TestReplaceByATrackThatCannotBeBound: a track whose codec was not negotiated does not take the
// place of another one, which is sent on.
func TestReplaceByATrackThatCannotBeBound(t *testing.T) {
	received, on := recordPackets(t)
	first := rawTrack(t, webrtc.MimeTypeVP8, "first")
	a, b := pair(t, func(caller, answerer *Config) { caller.Media.Tracks, answerer.OnEvent = []webrtc.TrackLocal{first}, on })
	a.awaitConnected()
	b.awaitConnected()
	received.await("first")
	second, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: "video/unknown"}, "second", "parley")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := changing(a, func(ctx context.Context) error { return a.call.ReplaceTrack(ctx, first, second) }); !errors.Is(err, webrtc.ErrUnsupportedCodec) {
			t.Errorf("replaced by a track of an unknown codec: %v, want %v", err, webrtc.ErrUnsupportedCodec)
		}
		received.await("first")
	}
	if n := happenings(a, func(TrackRejected) bool { return true }); n > 0 {
		t.Errorf("TrackRejected came %d times for a change that reports its error itself", n)
	}
}

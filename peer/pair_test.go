package peer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// deadline is how long a test waits for what should happen at once.
const deadline = 90 * time.Second

// side is one end of a call under test, with what happened to it.
type side struct {
	t    *testing.T
	name string
	call *Call
	stop context.CancelFunc

	patience time.Duration // of await; 0 for deadline

	mu     sync.Mutex // protects following
	events []Event
	more   chan struct{} // closed and replaced with every event

	ended chan struct{}
	end   End
	err   error
}

// wire is a Signaler that hands over to the peer, through filter if set.
type wire struct {
	to     func() *Call
	filter func(kind, payload string) (string, bool)

	see     func(kind string, d SessionDescription) // handles what is sent; nil for none
	foreign bool                                    // the extension does not pass, as with a peer that is no parley
}

func (w *wire) pass(kind, payload string) (string, bool) {
	if w.filter == nil {
		return payload, true
	}
	return w.filter(kind, payload)
}

func (w *wire) Offer(_ context.Context, d SessionDescription) error {
	if s, ok := w.pass("offer", d.SDP); ok {
		w.to().DeliverOffer(w.foreignized("offer", s, d))
	}
	return nil
}

func (w *wire) Answer(_ context.Context, d SessionDescription) error {
	if s, ok := w.pass("answer", d.SDP); ok {
		w.to().DeliverAnswer(w.foreignized("answer", s, d))
	}
	return nil
}

func (w *wire) foreignized(kind, sdp string, d SessionDescription) SessionDescription {
	d.SDP = sdp
	if w.foreign {
		d.Extension = nil
	}
	if w.see != nil {
		w.see(kind, d)
	}
	return d
}

func (w *wire) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	if s, ok := w.pass("candidate", c.Candidate); ok {
		c.Candidate = s
		w.to().DeliverCandidate(c)
	}
	return nil
}

func (w *wire) Leave(context.Context) error {
	if _, ok := w.pass("leave", ""); ok {
		w.to().DeliverLeave()
	}
	return nil
}

// newSide makes a side, whose call runs once start is called.
func newSide(t *testing.T, name string, cfg Config) *side {
	t.Helper()
	s := &side{t: t, name: name, more: make(chan struct{}), ended: make(chan struct{})}
	cfg.ICE.Loopback = true
	then := cfg.OnEvent
	cfg.OnEvent = func(e Event) {
		if then != nil {
			then(e)
		}
		s.note(e)
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	call, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.call = call
	return s
}

func (s *side) start() *side {
	s.t.Cleanup(s.run())
	return s
}

// run runs the call until the function that it returns.
func (s *side) run() func() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() {
		defer close(s.ended)
		s.end, s.err = s.call.Run(ctx)
	}()
	return func() { cancel(); <-s.ended }
}

func (s *side) note(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	close(s.more)
	s.more = make(chan struct{})
}

// await waits for an event for which is returns true.
func await[E Event](s *side, is func(E) bool) E {
	s.t.Helper()
	timeout := time.After(cmp.Or(s.patience, deadline))
	over := false
	for next := 0; ; {
		s.mu.Lock()
		fresh, more := s.events[next:], s.more
		next = len(s.events)
		s.mu.Unlock()
		for _, e := range fresh {
			if e, ok := e.(E); ok && is(e) {
				return e
			}
		}
		if over {
			s.t.Fatalf("%s ended (%v, %v) without the event", s.name, s.end, s.err)
		}
		select {
		case <-more:
		case <-s.ended:
			over = true // once more: the event may be the last one
		case <-timeout:
			s.t.Fatalf("%s: no such event; there were %s", s.name, s.summary())
		}
	}
}

func (s *side) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out string
	for _, e := range s.events {
		out += fmt.Sprintf("\n  %T%+v", e, e)
	}
	return out
}

// happenings is the number of events for which is returns true so far.
func happenings[E Event](s *side, is func(E) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e, ok := e.(E); ok && is(e) {
			n++
		}
	}
	return n
}

func (s *side) awaitConnected() {
	s.t.Helper()
	await(s, func(e StateChanged) bool { return e.State == webrtc.PeerConnectionStateConnected })
}

func (s *side) awaitText(text string) {
	s.t.Helper()
	await(s, func(e MessageReceived) bool { return e.Text && string(e.Data) == text })
}

func (s *side) awaitEnd() (End, error) {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(deadline):
		s.t.Fatalf("%s does not end; there were %s", s.name, s.summary())
	}
	return s.end, s.err
}

// pair is a caller and an answerer; edit may change their configurations.
func pair(t *testing.T, edit func(caller, answerer *Config)) (*side, *side) {
	t.Helper()
	var a, b *side
	caller := Config{Caller: true, Impolite: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: &wire{to: func() *Call { return b.call }}}
	answerer := Config{Signaler: &wire{to: func() *Call { return a.call }}}
	if edit != nil {
		edit(&caller, &answerer)
	}
	a, b = newSide(t, "caller", caller), newSide(t, "answerer", answerer)
	b.start()
	a.start()
	return a, b
}

// testTrack is a VP8 or Opus track of nothing.
func testTrack(t *testing.T, mime string) *webrtc.TrackLocalStaticSample {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, mime[:5], "parley")
	if err != nil {
		t.Fatal(err)
	}
	return track
}

// What package datachannel queues at most before Write waits, and where it goes on, in bytes.
const (
	highWater = 4 << 20
	lowWater  = highWater * 3 / 4
)

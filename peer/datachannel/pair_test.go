package datachannel

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline is how long a test waits for what should happen at once.
const deadline = 90 * time.Second

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// side is one end of a connection, which detaches every channel that the peer opens.
type side struct {
	*Set
	opened chan *Channel // by the peer
}

// sides returns two connected ends; the first one is the DTLS server, for its offer leaves the role
// to the second. The connection is closed when the test ends.
func sides(t testing.TB) (a, b *side) {
	t.Helper()
	settings := webrtc.SettingEngine{}
	settings.DetachDataChannels()
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetSCTPMaxMessageSize(MaxMessageSize)
	a, b = newSide(t, settings), newSide(t, settings)
	connect(t, a.pc, b.pc)
	return a, b
}

func newSide(t testing.TB, settings webrtc.SettingEngine) *side {
	t.Helper()
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	s := &side{opened: make(chan *Channel, 64)}
	verified := make(chan struct{})
	close(verified)
	s.Set = NewSet(pc, Config{
		OnOpen: func(ch *Channel) {
			if ch.OpenedByPeer() {
				ch.Detach()
				s.opened <- ch
			}
		},
		OnClose:   func(*Channel) {},
		OnMessage: func(*Channel, bool, []byte) {},
		Verified:  verified,
		Logger:    slog.New(slog.DiscardHandler),
	})
	t.Cleanup(func() {
		s.Close()
		_ = pc.GracefulClose()
		s.Wait()
	})
	return s
}

// connect connects a, which offers, to b.
func connect(t testing.TB, a, b *webrtc.PeerConnection) {
	t.Helper()
	connected := make(chan struct{})
	a.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	negotiated := true
	id := uint16(65534)
	for _, pc := range []*webrtc.PeerConnection{a, b} { // a data channel section needs a channel
		if _, err := pc.CreateDataChannel("", &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := a.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	describe(t, a, b, offer)
	answer, err := b.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	describe(t, b, a, answer)
	select {
	case <-connected:
	case <-time.After(deadline):
		t.Fatal("the sides do not connect")
	}
}

// describe applies a description with all candidates at both ends.
func describe(t testing.TB, from, to *webrtc.PeerConnection, d webrtc.SessionDescription) {
	t.Helper()
	complete := webrtc.GatheringCompletePromise(from)
	if err := from.SetLocalDescription(d); err != nil {
		t.Fatal(err)
	}
	<-complete
	if err := to.SetRemoteDescription(*from.LocalDescription()); err != nil {
		t.Fatal(err)
	}
}

// open opens a channel from a to b, and returns both ends.
func open(t testing.TB, a, b *side, o Options) (ours, theirs *Channel) {
	t.Helper()
	o.Detached = true
	opened := make(chan *Channel, 1)
	if err := a.Open(o, func(ch *Channel) bool { opened <- ch; return true }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case ours = <-opened:
		case theirs = <-b.opened:
		case <-time.After(deadline):
			t.Fatal("the channel does not open")
		}
	}
	return ours, theirs
}

// channels returns both ends of a channel of a connection of its own.
func channels(t *testing.T, o Options) (ours, theirs *Channel) {
	t.Helper()
	a, b := sides(t)
	return open(t, a, b, o)
}

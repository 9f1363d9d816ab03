package source

import (
	"context"
	"sync"
	"testing"
	"time"

	"parley/media"
	"parley/media/quality"
	"parley/media/receiver"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// testTime bounds every wait of these tests; nothing waits for it to pass.
const testTime = 30 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	t.Cleanup(cancel)
	return ctx
}

func newPeer(t *testing.T) *webrtc.PeerConnection {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	return pc
}

// remote is a track as OnTrack reports it.
type remote struct {
	track    *webrtc.TrackRemote
	receiver *webrtc.RTPReceiver
	pc       *webrtc.PeerConnection
}

// requestKeyFrame sends a PLI.
func (r remote) requestKeyFrame() {
	_ = r.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(r.track.SSRC())}})
}

// connect makes a call that carries tracks from one peer to the other, and returns what arrives at
// the other.
func connect(t *testing.T, tracks ...webrtc.TrackLocal) <-chan remote {
	t.Helper()
	_, arrives := connectBoth(t, tracks, nil)
	return arrives
}

// connectBoth makes a call that carries tracks both ways, and returns what arrives at each end.
func connectBoth(t *testing.T, offered, answered []webrtc.TrackLocal) (atOfferer, atAnswerer <-chan remote) {
	t.Helper()
	from, to := newPeer(t), newPeer(t)
	atOfferer, atAnswerer = arrivals(from), arrivals(to)
	addTracks(t, from, offered)
	addTracks(t, to, answered)
	signal(t, from, to)
	return atOfferer, atAnswerer
}

func arrivals(pc *webrtc.PeerConnection) <-chan remote {
	remotes := make(chan remote, 8)
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		remotes <- remote{track: track, receiver: receiver, pc: pc}
	})
	return remotes
}

func addTracks(t *testing.T, pc *webrtc.PeerConnection, tracks []webrtc.TrackLocal) {
	t.Helper()
	for _, track := range tracks {
		sender, err := pc.AddTrack(track)
		if err != nil {
			t.Fatal(err)
		}
		pumpSender(t, sender, track)
	}
}

// pumpSender reads a sender's RTCP, as a call does, and passes on what asks for key frames. It ends
// with the sender.
func pumpSender(t *testing.T, sender *webrtc.RTPSender, track webrtc.TrackLocal) {
	var done sync.WaitGroup
	done.Go(func() {
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, packet := range packets {
				_, pli := packet.(*rtcp.PictureLossIndication)
				if requester, ok := track.(KeyFrameRequester); pli && ok {
					requester.RequestKeyFrame()
				}
			}
		}
	})
	t.Cleanup(func() { _ = sender.Stop(); done.Wait() })
}

// signal exchanges offer and answer, with all candidates in them.
func signal(t *testing.T, from, to *webrtc.PeerConnection) {
	t.Helper()
	offer, err := from.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(from)
	if err := from.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	if err := to.SetRemoteDescription(*from.LocalDescription()); err != nil {
		t.Fatal(err)
	}
	answer, err := to.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered = webrtc.GatheringCompletePromise(to)
	if err := to.SetLocalDescription(answer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	if err := from.SetRemoteDescription(*to.LocalDescription()); err != nil {
		t.Fatal(err)
	}
}

// run runs f until the test ends, and fails the test if it returns an error. stop ends it before.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("run: %v", err)
				}
			case <-time.After(testTime):
				t.Error("does not end")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// next waits for a value.
func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-testContext(t).Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// watch is a sink that sends the stats after each frame, for as long as a test waits.
type watch struct {
	receiver *receiver.Receiver
	meter    *quality.ToneMeter
	frameIDs *quality.FrameIDReader
	stats    chan watched
	ctx      context.Context
}

// watched are the statistics of a track.
type watched struct {
	receiver.Stats
	quality.ToneStats
	frameIDs quality.FrameIDStats
}

func newWatch(ctx context.Context) *watch {
	return &watch{meter: quality.NewToneMeter(), frameIDs: &quality.FrameIDReader{}, stats: make(chan watched), ctx: ctx}
}

// sinks are those of a receiver; w.receiver is set before it runs.
func (w *watch) sinks() []media.FrameSink { return []media.FrameSink{w.meter, w.frameIDs, w} }

func (w *watch) WriteFrame(media.Frame) error {
	select {
	case w.stats <- watched{w.receiver.Stats(), w.meter.Stats(), w.frameIDs.Stats()}:
	case <-w.ctx.Done():
	}
	return nil
}

// until waits until the stats are as wanted.
func (w *watch) until(t *testing.T, what string, want func(watched) bool) watched {
	t.Helper()
	var last watched
	for {
		select {
		case last = <-w.stats:
			if want(last) {
				return last
			}
		case <-w.ctx.Done():
			t.Fatalf("waited in vain for %s; last were %+v", what, last)
		}
	}
}

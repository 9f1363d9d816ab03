package bwe

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// adaptiveTrack is a track that records its bitrates.
type adaptiveTrack struct {
	webrtc.TrackLocal
	kind     webrtc.RTPCodecType
	bitrates []int
}

func (f *adaptiveTrack) Kind() webrtc.RTPCodecType { return f.kind }
func (f *adaptiveTrack) SetBitrate(bitrate int)    { f.bitrates = append(f.bitrates, bitrate) }

// fixedTrack is a track with a fixed bitrate.
type fixedTrack struct {
	webrtc.TrackLocal
	kind webrtc.RTPCodecType
}

func (f fixedTrack) Kind() webrtc.RTPCodecType { return f.kind }

func newTestController(t *testing.T) *Controller {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestControllerAllocatesBitrate(t *testing.T) {
	c := newTestController(t)
	now := time.Now()
	c.now = func() time.Time { return now }
	one, two := &adaptiveTrack{kind: webrtc.RTPCodecTypeVideo}, &adaptiveTrack{kind: webrtc.RTPCodecTypeVideo}
	first := c.AddTrack(one)
	c.AddTrack(two)
	c.AddTrack(fixedTrack{kind: webrtc.RTPCodecTypeVideo})
	c.AddTrack(fixedTrack{kind: webrtc.RTPCodecTypeAudio})
	c.allocate()
	if len(one.bitrates) != 0 {
		t.Fatalf("bitrates %v before any feedback", one.bitrates)
	}
	c.SetREMB(first, 650_000)
	c.SetREMB(first, 651_000) // too small a change
	for _, f := range []*adaptiveTrack{one, two} {
		if len(f.bitrates) != 1 || f.bitrates[0] != (650_000-audioBitrate)/2 {
			t.Errorf("bitrates %v, want half of what audio leaves", f.bitrates)
		}
	}
	c.SetREMB(first, 1) // is raised to the minimum
	if last := one.bitrates[len(one.bitrates)-1]; last != minBitrate {
		t.Errorf("bitrate %d, want %d", last, minBitrate)
	}
	c.SetREMB(first, 650_000)
	now = now.Add(rembTimeout)
	c.onRTCP([]rtcp.Packet{&rtcp.TransportLayerCC{}})
	if last := one.bitrates[len(one.bitrates)-1]; last != (initialBitrate-audioBitrate)/2 {
		t.Errorf("bitrate %d after the REMB timed out, want half of the estimate", last)
	}
}

func TestControllerDropsHostileFeedback(t *testing.T) {
	c := newTestController(t)
	report := &rtcp.TransportLayerCC{}
	for range 100 {
		report.PacketChunks = append(report.PacketChunks, &rtcp.RunLengthChunk{RunLength: 8191})
	}
	c.onRTCP([]rtcp.Packet{report})
	if got := c.TargetBitrate(); got != 0 {
		t.Errorf("feedback for 819100 packets sets the target to %d, want it dropped", got)
	}
	c.onRTCP([]rtcp.Packet{&rtcp.TransportLayerCC{PacketChunks: report.PacketChunks[:0]}})
	if c.TargetBitrate() == 0 {
		t.Error("empty feedback sets no target")
	}
}

func TestNextTargetFallsForQueueOrLoss(t *testing.T) {
	for _, test := range []struct {
		estimate int
		state    string
		loss     float64
		want     int
	}{
		{900, "increase", 0, 900},
		{300, "increase", 0.02, 500},
		{300, "decrease", 0, 300},
		{300, "increase", 0.2, 300},
	} {
		if got := nextTarget(500, test.estimate, map[string]any{"state": test.state, "averageLoss": test.loss}); got != test.want {
			t.Errorf("nextTarget from 500 with estimate %d, state %s, loss %v: got %d, want %d", test.estimate, test.state, test.loss, got, test.want)
		}
	}
}

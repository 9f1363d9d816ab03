package peer

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// follower is a track that notes what it may send.
type follower struct {
	webrtc.TrackLocal
	kind webrtc.RTPCodecType
	told []int
}

func (f *follower) Kind() webrtc.RTPCodecType { return f.kind }
func (f *follower) SetBitrate(bitrate int)    { f.told = append(f.told, bitrate) }

// fixed is a track that cannot follow.
type fixed struct {
	webrtc.TrackLocal
	kind webrtc.RTPCodecType
}

func (f fixed) Kind() webrtc.RTPCodecType { return f.kind }

func newTestBandwidth(t *testing.T) *bandwidth {
	t.Helper()
	b, err := newBandwidth()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestRateIsSharedAmongThoseWhoFollow(t *testing.T) {
	b := newTestBandwidth(t)
	now := time.Now()
	b.now = func() time.Time { return now }
	one, two := &follower{kind: webrtc.RTPCodecTypeVideo}, &follower{kind: webrtc.RTPCodecTypeVideo}
	first := b.sends(one)
	b.sends(two)
	b.sends(fixed{kind: webrtc.RTPCodecTypeVideo})
	b.sends(fixed{kind: webrtc.RTPCodecTypeAudio})
	b.divide()
	if len(one.told) != 0 {
		t.Fatalf("told %v before anything is known", one.told)
	}
	b.limit(first, 650_000)
	b.limit(first, 651_000) // too little a change to tell
	for _, f := range []*follower{one, two} {
		if len(f.told) != 1 || f.told[0] != (650_000-audioShare)/2 {
			t.Errorf("told %v, want half of what the sound leaves", f.told)
		}
	}
	b.limit(first, 1) // nothing is no rate
	if last := one.told[len(one.told)-1]; last != leastEstimate {
		t.Errorf("told %d, want %d", last, leastEstimate)
	}
	b.limit(first, 650_000)
	now = now.Add(capMemory)
	b.feedback([]rtcp.Packet{&rtcp.TransportLayerCC{}})
	if last := one.told[len(one.told)-1]; last != (firstEstimate-audioShare)/2 {
		t.Errorf("told %d after the limit is old, want half of the estimate", last)
	}
}

func TestHostileFeedbackIsDropped(t *testing.T) {
	b := newTestBandwidth(t)
	report := &rtcp.TransportLayerCC{}
	for range 100 {
		report.PacketChunks = append(report.PacketChunks, &rtcp.RunLengthChunk{RunLength: 8191})
	}
	b.feedback([]rtcp.Packet{report})
	if got := b.estimate(); got != 0 {
		t.Errorf("a report of 819100 packets counts, the estimate is %d", got)
	}
	b.feedback([]rtcp.Packet{&rtcp.TransportLayerCC{PacketChunks: report.PacketChunks[:0]}})
	if b.estimate() == 0 {
		t.Error("a report of nothing does not count")
	}
}

func TestOnlyAQueueOrLossMakesTheTargetFall(t *testing.T) {
	for _, c := range []struct {
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
		if got := believed(500, c.estimate, map[string]any{"state": c.state, "averageLoss": c.loss}); got != c.want {
			t.Errorf("from 500, %d while it says %s with a loss of %v: %d, want %d", c.estimate, c.state, c.loss, got, c.want)
		}
	}
}

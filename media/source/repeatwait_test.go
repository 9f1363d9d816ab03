package source

import (
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// kindTrack is a track of a kind, which nobody reads.
type kindTrack struct {
	RemoteTrack
	kind webrtc.RTPCodecType
}

func (k kindTrack) Kind() webrtc.RTPCodecType { return k.kind }

// A picture waits for a retransmission as long as one takes, sound no longer than ever: nobody asks for it again.
func TestWaitFollowsTheRoundTrip(t *testing.T) {
	const video, audio = webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio
	for _, c := range []struct {
		kind            webrtc.RTPCodecType
		wait, rtt, want time.Duration
	}{
		{video, 0, 0, 250 * time.Millisecond},
		{video, 0, 20 * time.Millisecond, 250 * time.Millisecond},
		{video, 0, 400 * time.Millisecond, 750 * time.Millisecond},
		{video, 0, 5 * time.Second, 2 * time.Second},
		{video, 3 * time.Second, 400 * time.Millisecond, 3 * time.Second},
		{audio, 0, 400 * time.Millisecond, 250 * time.Millisecond},
	} {
		rtt := c.rtt
		r := NewReceiver(kindTrack{kind: c.kind}, ReceiverOptions{Wait: c.wait, RTT: func() time.Duration { return rtt }})
		now := time.Unix(1000, 0)
		r.follow(now)
		if r.reorder.wait != c.want {
			t.Errorf("%v with %v and a round trip of %v waits %v, want %v", c.kind, c.wait, c.rtt, r.reorder.wait, c.want)
		}
		rtt = time.Millisecond
		if r.follow(now.Add(time.Second / 2)); r.reorder.wait != c.want {
			t.Errorf("the round trip is looked at again after half a second")
		}
		if r.follow(now.Add(time.Second)); r.reorder.wait != max(c.wait, defaultWait) {
			t.Errorf("a shorter round trip leaves the wait at %v", r.reorder.wait)
		}
	}
}

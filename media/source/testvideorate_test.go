package source

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"parley/media/testsignal"
)

// TestTestPictureFollows: what may be sent bounds what is sent, down to a tenth, and it recovers.
func TestTestPictureFollows(t *testing.T) {
	v, err := newTestVideo(VideoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	measure := func() int {
		size := 0
		for frame := uint32(0); frame < 60; frame++ {
			if frame%v.frameInterval() != 0 {
				continue
			}
			at := v.at(frame)
			data, err := v.encoder.Encode(v.pattern.Render(frame, at, time.Unix(0, 0).UTC()))
			if err != nil {
				t.Fatal(err)
			}
			if frame >= 30 { // the first two seconds are for the change
				size += len(data)
			}
		}
		return size * 8 / 2
	}
	free := measure()
	for _, limit := range []int{400_000, 200_000, 50_000} {
		v.SetBitrate(limit)
		if got := measure(); got > limit*12/10 || got < limit/4 {
			t.Errorf("%d bit/s may be sent, and %d are", limit, got)
		}
	}
	v.SetBitrate(10_000_000)
	if got := measure(); got < free*8/10 || got > free*12/10 {
		t.Errorf("%d bit/s are sent where %d were before the limit", got, free)
	}
}

// TestSourcesShareAnEpoch: a source that runs later goes on with the number of now.
func TestSourcesShareAnEpoch(t *testing.T) {
	if _, err := testsignal.NewVP8Encoder(0, 10); err != nil { // which fills the tables of the library, outside the bubble
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		o := &testsignal.Epoch{}
		o.Time()
		s, err := newTestVideo(VideoOptions{Width: 64, Height: 48, FrameRate: 10, Epoch: o})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second-10*time.Millisecond)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if o.Sent(49) || !o.Sent(50) || !o.Sent(99) || o.Sent(100) {
			t.Errorf("sent are 49 %t, 50 %t, 99 %t, 100 %t", o.Sent(49), o.Sent(50), o.Sent(99), o.Sent(100))
		}
	})
}

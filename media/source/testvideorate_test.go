package source

import (
	"testing"
	"time"
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
			if frame%v.every() != 0 {
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

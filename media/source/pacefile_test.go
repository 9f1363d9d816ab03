//go:build !quick

package source

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/media"
)

func TestPaceOfFile(t *testing.T) {
	path := videoClips(t)[webrtc.MimeTypeVP8]
	synctest.Test(t, func(t *testing.T) {
		source, err := OpenVideo(path, VideoOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c, start := runFor(t, source, time.Hour)
		if d := time.Since(start); d != 1960*time.Millisecond { // the file ends with its last frame
			t.Errorf("the file took %v", d)
		}
		for i, p := range c.Packets {
			if d := c.Times[i].Sub(start) - media.TicksToDuration(int64(p.Timestamp-c.Packets[0].Timestamp), media.VideoClockRate); d.Abs() > time.Millisecond {
				t.Errorf("packet %d is off by %v", i, d)
			}
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		source, err := OpenVideo(path, VideoOptions{Loop: true})
		if err != nil {
			t.Fatal(err)
		}
		c, _ := runFor(t, source, 8990*time.Millisecond)
		marks, last := 0, uint32(0)
		for _, p := range c.Packets {
			if !p.Marker {
				continue
			}
			if marks > 0 && p.Timestamp-last != 3600 {
				t.Errorf("frame %d comes %d ticks after the one before", marks, p.Timestamp-last)
			}
			marks, last = marks+1, p.Timestamp
		}
		if marks != 225 {
			t.Errorf("%d frames in 9 s", marks)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	})
}

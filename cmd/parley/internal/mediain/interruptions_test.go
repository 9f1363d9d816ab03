package mediain

import (
	"testing"
	"time"

	"parley/media"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/webrtc/v4"
)

func TestGaps(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	frame := func(ms int, key, after bool) media.Frame {
		return media.Frame{Kind: webrtc.RTPCodecTypeVideo, Arrival: start.Add(time.Duration(ms) * time.Millisecond), Key: key, Gap: after}
	}
	lost := uint64(0)
	var got []interruption
	w := &interruptions{lost: func() uint64 { return lost }, report: func(g interruption) { got = append(got, g) }}
	write := func(f media.Frame) {
		if err := w.WriteFrame(f); err != nil {
			t.Fatal(err)
		}
	}
	write(frame(0, true, false))
	write(frame(66, false, false))
	write(frame(900, false, false)) // slow, but not away
	lost = 40
	write(frame(4100, false, true)) // cannot be shown
	write(frame(4166, false, false))
	write(frame(4200, true, false)) // 3.3 s after the last that could
	w.suspect(gapSwitch)
	write(frame(4266, false, false)) // what a change of the path has cost
	w.suspect(gapSwitch)
	w.suspect(gapOutage) // is what counts, however it ends
	w.suspect(gapSwitch)
	lost = 47
	write(frame(9266, false, false))
	write(frame(9332, false, false))
	w.suspect(gapSwitch)
	write(frame(9300, false, false)) // came before the one before it
	want := []interruption{
		{"video", gapSource, 3300 * time.Millisecond, 40},
		{"video", gapSwitch, 66 * time.Millisecond, 0},
		{"video", gapOutage, 5 * time.Second, 7},
		{"video", gapSwitch, 0, 0},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(interruption{})); diff != "" {
		t.Error(diff)
	}
	if count, total, ok := w.sum(); count != 4 || total != 8366*time.Millisecond || !ok {
		t.Errorf("in all %d of %v", count, total)
	}
}

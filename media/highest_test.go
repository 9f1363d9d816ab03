package media

import (
	"slices"
	"testing"
	"time"
)

// widths notes how wide the frames are.
type widths struct{ seen []int }

func (w *widths) WriteFrame(f Frame) error {
	w.seen = append(w.seen, f.Width)
	return nil
}

func TestHighestLayerIsHandedOn(t *testing.T) {
	var to widths
	h := NewHighest(&to)
	small, large := h.Layer(), h.Layer()
	start := time.Unix(0, 0)
	write := func(s FrameSink, width int, key bool, at time.Duration) {
		t.Helper()
		if err := s.WriteFrame(Frame{Width: width, Height: width, Key: key, Arrival: start.Add(at)}); err != nil {
			t.Fatal(err)
		}
	}
	write(small, 160, false, 0) // begins with a key frame
	write(small, 160, true, 0)
	write(large, 640, false, 1) // goes over with one
	write(small, 160, false, 2)
	write(large, 640, true, 3)
	write(small, 160, true, 4)
	write(large, 640, false, 5)
	write(small, 160, true, layerPatience) // the large one may be late
	write(small, 160, true, 2*layerPatience)
	write(large, 640, true, 2*layerPatience+1) // and comes back
	if want := []int{160, 160, 640, 640, 160, 640}; !slices.Equal(to.seen, want) {
		t.Errorf("frames of %v are handed on, want %v", to.seen, want)
	}
}

package receiver

import (
	"maps"
	"slices"
	"testing"
	"time"

	"parley/media"
)

// widths notes how wide the frames are, and asks for a key frame when one comes that is marked.
type widths struct {
	seen []int
	ask  func()
}

func (w *widths) WriteFrame(f media.Frame) error {
	w.seen = append(w.seen, f.Width)
	if f.Gap {
		w.ask()
	}
	return nil
}

func TestSimulcastSelector(t *testing.T) {
	var to widths
	h := NewSimulcastSelector(&to)
	to.ask = h.RequestKeyFrame
	asked := map[string]int{}
	small := h.Layer(func() { asked["small"]++ })
	large := h.Layer(func() { asked["large"]++ })
	h.RequestKeyFrame() // there is none yet
	start := time.Unix(0, 0)
	write := func(s media.FrameSink, width int, key bool, at time.Duration) {
		t.Helper()
		if err := s.WriteFrame(media.Frame{Width: width, Height: width, Key: key, Arrival: start.Add(at)}); err != nil {
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
	write(small, 160, true, layerTimeout) // the large one may be late
	if err := large.WriteFrame(media.Frame{Width: 640, Height: 640, Gap: true, Arrival: start.Add(6)}); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"small": 1, "large": 2}; !maps.Equal(asked, want) {
		t.Errorf("key frames are asked for as %v, want %v", asked, want)
	}
	write(small, 160, false, 2*layerTimeout)
	if asked["small"] != 2 {
		t.Error("no key frame is requested for the switch to the small layer")
	}
	write(small, 160, true, 2*layerTimeout)
	write(large, 640, true, 2*layerTimeout+1) // and comes back
	if want := []int{160, 160, 640, 640, 640, 160, 640}; !slices.Equal(to.seen, want) {
		t.Errorf("frames of %v are passed on, want %v", to.seen, want)
	}
}

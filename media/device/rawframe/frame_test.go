package rawframe

import (
	"image"
	"math"
	"math/rand"
	"testing"
	"time"
)

// TestFrameClock stamps frames of a regular camera that arrive late by up to 8 ms.
func TestFrameClock(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	interval := time.Second * 100 / 2997 // of a camera whose nominal rate is 30
	c := Clock{Interval: time.Second / 30}
	start := time.Unix(1000, 0)
	var last time.Time
	var worst time.Duration
	for n := range 600 {
		if n%100 == 50 {
			continue // a frame is missing
		}
		captured := start.Add(time.Duration(n) * interval)
		stamp := c.Stamp(captured.Add(time.Duration(random.Intn(8)) * time.Millisecond))
		if !stamp.After(last) {
			t.Fatalf("frame %d: %v after %v", n, stamp, last)
		}
		if n > 60 && n%100 != 51 {
			worst = max(worst, (stamp.Sub(last) - interval).Abs())
		}
		last = stamp
	}
	if worst > 2*time.Millisecond {
		t.Errorf("frames are up to %v from regular", worst)
	}
}

// TestFrameClockFollows stamps frames of a camera that halves its rate, and of one that was lost.
func TestFrameClockFollows(t *testing.T) {
	c := Clock{Interval: time.Second / 30}
	at := time.Unix(1000, 0)
	for _, step := range []time.Duration{33, 33, 67, 67, 67, 50, 50, 50, 5000, 33, 0, 0} {
		at = at.Add(step * time.Millisecond)
		last := c.last
		if got := c.Stamp(at); got.Sub(at).Abs() > 20*time.Millisecond || !got.After(last) {
			t.Errorf("after %v ms a frame is stamped %v from when it came", step, got.Sub(at))
		}
	}
}

func TestFrameSlotKeepsNewest(t *testing.T) {
	l := NewSlot()
	for n := range 10 {
		p := l.Acquire()
		p.At = time.Unix(int64(n), 0)
		l.Publish(p)
	}
	p := l.Next(t.Context())
	if p.At.Unix() != 9 {
		t.Errorf("frame %d comes first", p.At.Unix())
	}
	l.Release(p)
}

func TestCopyFromOddSize(t *testing.T) {
	src := image.NewYCbCr(image.Rect(0, 0, 17, 19), image.YCbCrSubsampleRatio420)
	for i := range src.Y {
		src.Y[i] = uint8(i)
	}
	var p Frame
	p.CopyFrom(src)
	if p.Rect.Dx() != 16 || p.Rect.Dy() != 18 || p.Y[p.YStride*17+15] != src.Y[src.YStride*17+15] {
		t.Errorf("%v", p.Rect)
	}
}

func TestConvertBGRX(t *testing.T) {
	for name, c := range map[string]struct{ b, g, r, y, cb, cr uint8 }{
		"black": {0, 0, 0, 16, 128, 128}, "white": {255, 255, 255, 235, 128, 128}, "red": {0, 0, 255, 82, 90, 240},
		"green": {0, 255, 0, 145, 54, 34}, "blue": {255, 0, 0, 41, 240, 110},
	} {
		img := image.NewYCbCr(image.Rect(0, 0, 4, 2), image.YCbCrSubsampleRatio420)
		var pixels []byte
		for range 8 {
			pixels = append(pixels, c.b, c.g, c.r, 0)
		}
		ConvertBGRX(img, pixels)
		near := func(a, b uint8) bool { return math.Abs(float64(a)-float64(b)) <= 1 }
		if !near(img.Y[7], c.y) || !near(img.Cb[1], c.cb) || !near(img.Cr[1], c.cr) {
			t.Errorf("%s is %d %d %d, want %d %d %d", name, img.Y[7], img.Cb[1], img.Cr[1], c.y, c.cb, c.cr)
		}
	}
}

func TestDownscaler(t *testing.T) {
	var p Frame
	p.Resize(320, 180)
	for y := range 180 {
		for x := range 320 {
			p.Y[y*p.YStride+x] = uint8(x / 2)
		}
	}
	var y Downscaler
	y.Reset(&p)
	half, quarter := y.Halved(1), y.Halved(2)
	if half.Rect.Size() != image.Pt(160, 90) || quarter.Rect.Size() != image.Pt(80, 44) {
		t.Fatalf("sizes %v and %v", half.Rect, quarter.Rect)
	}
	if got := half.Y[100]; got != 100 {
		t.Errorf("pixel 100 is %d", got)
	}
	if got := quarter.Y[50]; got != 100 && got != 101 {
		t.Errorf("pixel 50 of a quarter is %d", got)
	}
	if y.Halved(9).Rect.Dx() < MinSide {
		t.Error("it is too small for an encoder")
	}
}

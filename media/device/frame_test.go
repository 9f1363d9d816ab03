package device

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
	c := frameClock{interval: time.Second / 30}
	start := time.Unix(1000, 0)
	var last time.Time
	var worst time.Duration
	for n := range 600 {
		if n%100 == 50 {
			continue // a frame is missing
		}
		captured := start.Add(time.Duration(n) * interval)
		stamp := c.stamp(captured.Add(time.Duration(random.Intn(8)) * time.Millisecond))
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
	c := frameClock{interval: time.Second / 30}
	at := time.Unix(1000, 0)
	for _, step := range []time.Duration{33, 33, 67, 67, 67, 50, 50, 50, 5000, 33, 0, 0} {
		at = at.Add(step * time.Millisecond)
		last := c.last
		if got := c.stamp(at); got.Sub(at).Abs() > 20*time.Millisecond || !got.After(last) {
			t.Errorf("after %v ms a frame is stamped %v from when it came", step, got.Sub(at))
		}
	}
}

func TestFrameSlotKeepsNewest(t *testing.T) {
	l := newFrameSlot()
	for n := range 10 {
		p := l.acquire()
		p.at = time.Unix(int64(n), 0)
		l.publish(p)
	}
	p := l.next(t.Context())
	if p.at.Unix() != 9 {
		t.Errorf("frame %d comes first", p.at.Unix())
	}
	l.release(p)
}

func TestCopyFromOddSize(t *testing.T) {
	src := image.NewYCbCr(image.Rect(0, 0, 17, 19), image.YCbCrSubsampleRatio420)
	for i := range src.Y {
		src.Y[i] = uint8(i)
	}
	var p rawFrame
	p.copyFrom(src)
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
		convertBGRX(img, pixels)
		near := func(a, b uint8) bool { return math.Abs(float64(a)-float64(b)) <= 1 }
		if !near(img.Y[7], c.y) || !near(img.Cb[1], c.cb) || !near(img.Cr[1], c.cr) {
			t.Errorf("%s is %d %d %d, want %d %d %d", name, img.Y[7], img.Cb[1], img.Cr[1], c.y, c.cb, c.cr)
		}
	}
}

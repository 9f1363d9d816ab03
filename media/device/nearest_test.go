package device

import (
	"image"
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"
)

func TestNearest(t *testing.T) {
	vivid := []mode{
		{320, 180, 30, 1}, {320, 180, 10, 1}, {320, 180, 10, 0}, {640, 360, 30, 0}, {640, 480, 15, 1},
		{640, 480, 30, 3}, {1280, 720, 10, 0}, {1280, 720, 30, 3}, {1920, 1080, 5, 0}, {0, 0, 30, 0},
	}
	for want, expect := range map[mode]mode{
		{640, 480, 30, 0}:    {640, 480, 30, 3},
		{640, 480, 10, 0}:    {640, 480, 15, 1},
		{320, 240, 10, 0}:    {320, 180, 10, 0},
		{1, 1, 10, 0}:        {320, 180, 10, 0},
		{1280, 800, 29.9, 0}: {1280, 720, 30, 3},
		{9999, 9999, 60, 0}:  {1920, 1080, 5, 0},
	} {
		if i := nearest(want, vivid); vivid[i] != expect {
			t.Errorf("nearest to %v is %v, want %v", want, vivid[i], expect)
		}
	}
	if i := nearest(mode{width: 1, height: 1}, []mode{{}}); i != -1 {
		t.Errorf("nearest of nothing is %d", i)
	}
}

func TestChoose(t *testing.T) {
	all := []named{{"video0", "Front Camera"}, {"video2", "Rear Camera"}, {"2", "odd"}}
	for id, want := range map[string]int{"video2": 1, "0": 0, "1": 1, "2": 2, "rear": 1, "FRONT": 0} {
		if i, err := choose("camera", id, all); err != nil || i != want {
			t.Errorf("%s: %d, %v, want %d", id, i, err, want)
		}
	}
	for id, want := range map[string]string{
		"camera": "several", "video9": "there is no such camera; there is video0 (Front Camera), video2", "7": "there is no such", "-1": "there is no such",
	} {
		if _, err := choose("camera", id, all); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", id, err, want)
		}
	}
	if _, err := choose("camera", "x", nil); err == nil || !strings.Contains(err.Error(), "this machine has no camera") {
		t.Error(err)
	}
}

// TestFrameClock: a camera at its own pace, on a machine that is late by up to 8 ms, must look regular.
func TestFrameClock(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	interval := time.Second * 100 / 2997 // of the camera, which says 30
	c := frameClock{interval: time.Second / 30}
	start := time.Unix(1000, 0)
	var last time.Time
	var worst time.Duration
	for n := range 600 {
		if n%100 == 50 {
			continue // one is left out
		}
		captured := start.Add(time.Duration(n) * interval)
		stamp := c.stamp(captured.Add(time.Duration(random.Intn(8)) * time.Millisecond))
		if !stamp.After(last) {
			t.Fatalf("picture %d: %v after %v", n, stamp, last)
		}
		if n > 60 && n%100 != 51 {
			worst = max(worst, (stamp.Sub(last) - interval).Abs())
		}
		last = stamp
	}
	if worst > 2*time.Millisecond {
		t.Errorf("pictures are up to %v from regular", worst)
	}
}

// TestFrameClockFollows a camera that halves its pace in the dark, and one that was away.
func TestFrameClockFollows(t *testing.T) {
	c := frameClock{interval: time.Second / 30}
	at := time.Unix(1000, 0)
	for _, step := range []time.Duration{33, 33, 67, 67, 67, 50, 50, 50, 5000, 33, 0, 0} {
		at = at.Add(step * time.Millisecond)
		last := c.last
		if got := c.stamp(at); got.Sub(at).Abs() > 20*time.Millisecond || !got.After(last) {
			t.Errorf("after %v ms a picture is stamped %v from when it came", step, got.Sub(at))
		}
	}
}

func TestLatestKeepsTheNewest(t *testing.T) {
	l := newLatest()
	for n := range 10 {
		p := l.blank()
		p.at = time.Unix(int64(n), 0)
		l.put(p)
	}
	p := l.next(t.Context())
	if p.at.Unix() != 9 {
		t.Errorf("picture %d comes first", p.at.Unix())
	}
	l.done(p)
}

func TestCopyLeavesOddSidesOut(t *testing.T) {
	src := image.NewYCbCr(image.Rect(0, 0, 17, 19), image.YCbCrSubsampleRatio420)
	for i := range src.Y {
		src.Y[i] = uint8(i)
	}
	var p picture
	p.copyFrom(src)
	if p.Rect.Dx() != 16 || p.Rect.Dy() != 18 || p.Y[p.YStride*17+15] != src.Y[src.YStride*17+15] {
		t.Errorf("%v", p.Rect)
	}
}

func TestFromBGRX(t *testing.T) {
	for name, c := range map[string]struct{ b, g, r, y, cb, cr uint8 }{
		"black": {0, 0, 0, 16, 128, 128}, "white": {255, 255, 255, 235, 128, 128}, "red": {0, 0, 255, 82, 90, 240},
		"green": {0, 255, 0, 145, 54, 34}, "blue": {255, 0, 0, 41, 240, 110},
	} {
		img := image.NewYCbCr(image.Rect(0, 0, 4, 2), image.YCbCrSubsampleRatio420)
		var pixels []byte
		for range 8 {
			pixels = append(pixels, c.b, c.g, c.r, 0)
		}
		fromBGRX(img, pixels)
		near := func(a, b uint8) bool { return math.Abs(float64(a)-float64(b)) <= 1 }
		if !near(img.Y[7], c.y) || !near(img.Cb[1], c.cb) || !near(img.Cr[1], c.cr) {
			t.Errorf("%s is %d %d %d, want %d %d %d", name, img.Y[7], img.Cb[1], img.Cr[1], c.y, c.cb, c.cr)
		}
	}
}

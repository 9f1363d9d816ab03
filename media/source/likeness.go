package source

import (
	"image"
	"math"
	"time"

	"parley/media/pixel"
	"parley/media/testsignal"
)

// mostLike is the PSNR of equal pictures, in dB, for which there is no number.
const mostLike = 100

// likeness compares pictures with the test video. Its zero value is ready.
type likeness struct {
	pattern *testsignal.Pattern
	drawn   *image.YCbCr
	scaler  pixel.Scaler
}

// psnr is the peak signal-to-noise ratio of the brightness of a picture to that of the test video, in dB; the time of day
// is left out. width and height are those of the test video, 0 for those of the picture.
func (l *likeness) psnr(img image.Image, number uint32, rate float64, width, height int) (db float64, ok bool) {
	got, ok := img.(*image.YCbCr)
	if !ok {
		return 0, false
	}
	w, h := got.Rect.Dx(), got.Rect.Dy()
	if width == 0 || height == 0 {
		width, height = w, h
	}
	if !l.prepare(width, height) {
		return 0, false
	}
	picture := l.pattern.Render(number, time.Duration(float64(number)/rate*float64(time.Second)), time.Time{})
	brightness(l.drawn, picture)
	want := l.drawn
	if w != width || h != height {
		want = l.scaler.Scale(want, w, h)
	}
	top, bottom := l.pattern.ClockRows()
	top, bottom = top*h/height-1, (bottom*h+height-1)/height+1
	sum, n := 0.0, 0
	for y := range h {
		if y >= top && y < bottom {
			continue
		}
		a, b := got.Y[got.YOffset(got.Rect.Min.X, got.Rect.Min.Y+y):][:w], want.Y[want.YOffset(0, y):][:w]
		for x := range a {
			d := int(a[x]) - int(b[x])
			sum += float64(d * d)
		}
		n += w
	}
	if sum == 0 {
		return mostLike, n > 0
	}
	return 10 * math.Log10(255*255*float64(n)/sum), n > 0
}

func (l *likeness) prepare(width, height int) bool {
	if l.pattern != nil && l.pattern.Bounds().Dx() == width && l.pattern.Bounds().Dy() == height {
		return true
	}
	pattern, err := testsignal.NewPattern(width, height)
	if err != nil {
		return false
	}
	l.pattern, l.drawn = pattern, image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	return true
}

// brightness fills the Y plane with that of img, from 16 to 235 by BT.601, as video has it.
func brightness(to *image.YCbCr, img *image.RGBA) {
	for y := range to.Rect.Dy() {
		row, pixels := to.Y[y*to.YStride:], img.Pix[y*img.Stride:]
		for x := range to.Rect.Dx() {
			p := pixels[4*x:]
			row[x] = byte((16839*int(p[0]) + 33059*int(p[1]) + 6420*int(p[2]) + 16<<16 + 1<<15) >> 16) //nolint:gosec // 16 to 235
		}
	}
}

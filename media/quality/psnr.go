package quality

import (
	"image"
	"math"
	"time"

	"parley/media/pixel"
	"parley/media/testsignal"
)

// maxPSNR stands for the PSNR of equal frames in dB, which is infinite.
const maxPSNR = 100

// psnrMeter compares frames with the test video. The zero value is ready.
type psnrMeter struct {
	pattern *testsignal.Pattern
	sent    *image.YCbCr
	scaler  pixel.Scaler
}

// measure returns the peak signal-to-noise ratio of the luma of a frame to that of the test video
// in dB, without the time of day. width and height are those of the test video, 0 for those of the
// frame.
func (m *psnrMeter) measure(img image.Image, number uint32, rate float64, width, height int) (psnr float64, ok bool) {
	got, ok := img.(*image.YCbCr)
	if !ok {
		return 0, false
	}
	w, h := got.Rect.Dx(), got.Rect.Dy()
	if width == 0 || height == 0 {
		width, height = w, h
	}
	if !m.prepare(width, height) {
		return 0, false
	}
	rendered := m.pattern.Render(number, time.Duration(float64(number)/rate*float64(time.Second)), time.Time{})
	fillLuma(m.sent, rendered)
	want := m.sent
	if w != width || h != height {
		want = m.scaler.Scale(want, w, h)
	}
	top, bottom := m.pattern.ClockRows()
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
		return maxPSNR, n > 0
	}
	return 10 * math.Log10(255*255*float64(n)/sum), n > 0
}

// prepare makes the pattern for a size. It returns false for a size that the test video does not
// have.
func (m *psnrMeter) prepare(width, height int) bool {
	if m.pattern != nil && m.pattern.Bounds().Dx() == width && m.pattern.Bounds().Dy() == height {
		return true
	}
	pattern, err := testsignal.NewPattern(width, height)
	if err != nil {
		return false
	}
	m.pattern, m.sent = pattern, image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	return true
}

// fillLuma fills the Y plane with the luma of img, 16 to 235 by BT.601.
func fillLuma(to *image.YCbCr, img *image.RGBA) {
	for y := range to.Rect.Dy() {
		row, pixels := to.Y[y*to.YStride:], img.Pix[y*img.Stride:]
		for x := range to.Rect.Dx() {
			p := pixels[4*x:]
			row[x] = byte((16839*int(p[0]) + 33059*int(p[1]) + 6420*int(p[2]) + 16<<16 + 1<<15) >> 16) //nolint:gosec // 16 to 235
		}
	}
}

//go:build linux && cgo

package device

import (
	"image"
	"time"

	"parley/media/testsignal"
)

// testDevice is a camera that is not there: it sees the test picture.
type testDevice struct{ is mode }

func newTestDevice(_ string, o VideoOptions) (videoDevice, error) {
	d := &testDevice{mode{width: o.Width &^ 1, height: o.Height &^ 1, rate: o.FrameRate}}
	if o.Width == 0 {
		d.is.width, d.is.height = testsignal.DefaultWidth, testsignal.DefaultHeight
	}
	if d.is.rate == 0 {
		d.is.rate = testsignal.DefaultFrameRate
	}
	_, err := testsignal.NewPattern(d.is.width, d.is.height)
	return d, err
}

func (d *testDevice) String() string { return "picture" }

func (d *testDevice) open() (pictures, error) {
	pattern, err := testsignal.NewPattern(d.is.width, d.is.height)
	if err != nil {
		return nil, err
	}
	s := &testShow{is: d.is, pattern: pattern, start: time.Now()}
	s.picture = *image.NewYCbCr(image.Rect(0, 0, d.is.width, d.is.height), image.YCbCrSubsampleRatio420)
	return s, nil
}

// testShow is the test picture at work.
type testShow struct {
	is      mode
	pattern *testsignal.Pattern
	picture image.YCbCr
	start   time.Time
	next    int
}

func (s *testShow) mode() mode { return s.is }

// read waits until the next picture is due. One whose time has passed is left out, so that its number is missing.
func (s *testShow) read() (*image.YCbCr, func(), error) {
	if due := int(time.Since(s.start).Seconds() * s.is.rate); due > s.next {
		s.next = due
	}
	at := time.Duration(float64(s.next) / s.is.rate * float64(time.Second))
	time.Sleep(time.Until(s.start.Add(at)))
	img := s.pattern.Render(uint32(s.next), at, s.start.Add(at)) //nolint:gosec // wraps after years
	swapRedBlue(img.Pix)                                         // it is painted anew next time
	fromBGRX(&s.picture, img.Pix)
	s.next++
	return &s.picture, func() {}, nil
}

func (s *testShow) close() {}

// swapRedBlue makes RGBA of BGRA and the other way round.
func swapRedBlue(pixels []byte) {
	for i := 0; i+3 < len(pixels); i += 4 {
		pixels[i], pixels[i+2] = pixels[i+2], pixels[i]
	}
}

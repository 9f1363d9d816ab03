//go:build linux && cgo

package videodevice

import (
	"image"
	"time"

	"parley/media/device/rawframe"
	"parley/media/testsignal"
)

// testDevice is a camera without hardware, whose frames are the test pattern.
type testDevice struct{ is Mode }

// FindTest returns a camera without hardware, whose frames are the test pattern.
func FindTest(_ string, want Mode) (Device, error) {
	d := &testDevice{Mode{Width: want.Width &^ 1, Height: want.Height &^ 1, Rate: want.Rate}}
	if want.Width == 0 {
		d.is.Width, d.is.Height = testsignal.DefaultWidth, testsignal.DefaultHeight
	}
	if d.is.Rate == 0 {
		d.is.Rate = testsignal.DefaultFrameRate
	}
	_, err := testsignal.NewPattern(d.is.Width, d.is.Height)
	return d, err
}

func (d *testDevice) String() string { return "video" }

func (d *testDevice) Open() (Stream, error) {
	pattern, err := testsignal.NewPattern(d.is.Width, d.is.Height)
	if err != nil {
		return nil, err
	}
	s := &testStream{is: d.is, pattern: pattern, start: time.Now()}
	s.frame = *image.NewYCbCr(image.Rect(0, 0, d.is.Width, d.is.Height), image.YCbCrSubsampleRatio420)
	return s, nil
}

// testStream is an open testDevice.
type testStream struct {
	is      Mode
	pattern *testsignal.Pattern
	frame   image.YCbCr
	start   time.Time
	next    int
}

func (s *testStream) Mode() Mode { return s.is }

// Read waits until the next frame is due. A frame whose time has passed is skipped, with its frame
// ID.
func (s *testStream) Read() (*image.YCbCr, func(), error) {
	if due := int(time.Since(s.start).Seconds() * s.is.Rate); due > s.next {
		s.next = due
	}
	at := time.Duration(float64(s.next) / s.is.Rate * float64(time.Second))
	time.Sleep(time.Until(s.start.Add(at)))
	img := s.pattern.Render(uint32(s.next), at, s.start.Add(at)) //nolint:gosec // wraps after years
	swapRedBlue(img.Pix)                                         // Render sets all pixels
	rawframe.ConvertBGRX(&s.frame, img.Pix)
	s.next++
	return &s.frame, func() {}, nil
}

func (s *testStream) Close() {}

// swapRedBlue converts between RGBA and BGRA.
func swapRedBlue(pixels []byte) {
	for i := 0; i+3 < len(pixels); i += 4 {
		pixels[i], pixels[i+2] = pixels[i+2], pixels[i]
	}
}

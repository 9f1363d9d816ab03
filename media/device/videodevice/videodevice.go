//go:build linux && cgo

package videodevice

import (
	"fmt"
	"image"
	"math"
)

// Device is a camera or a screen.
type Device interface {
	// Open starts capturing. It may be called again after the stream was closed.
	Open() (Stream, error)
	String() string
}

// Stream is an open device. One goroutine uses it.
type Stream interface {
	Mode() Mode
	// Read returns the next frame in 4:2:0, valid until release is called. A *hotplug.LostError is
	// final. Other errors are those of one frame, or a timeout of about a second.
	Read() (img *image.YCbCr, release func(), err error)
	Close()
}

// Mode is a mode of a camera or screen. In a request, zeros are the default of the device.
type Mode struct {
	Width, Height int
	Rate          float64 // in frames per second, 0 if unknown
	cost          int     // of converting frames: the lower one of equal modes is selected
}

// Differs reports whether a mode is not the requested one.
func (m Mode) Differs(requested Mode) bool {
	return requested.Width != 0 && (requested.Width != m.Width || requested.Height != m.Height) ||
		requested.Rate != 0 && math.Abs(requested.Rate-m.Rate) > 0.1
}

func (m Mode) String() string {
	s := fmt.Sprintf("%dx%d", m.Width, m.Height)
	if m.Width == 0 {
		s = "any size"
	}
	if m.Rate > 0 {
		s += fmt.Sprintf("@%g", math.Round(m.Rate*100)/100)
	}
	return s
}

// selectMode returns the index of the mode nearest to want by size, then by frame rate, then by
// cost, or -1.
func selectMode(want Mode, modes []Mode) int {
	best := -1
	for i, m := range modes {
		if m.Width <= 0 || m.Height <= 0 {
			continue
		}
		if best < 0 || fitsBetter(want, m, modes[best]) {
			best = i
		}
	}
	return best
}

// fitsBetter reports whether a is nearer to want than b.
func fitsBetter(want, a, b Mode) bool {
	if da, db := fitnessDistance(want, a), fitnessDistance(want, b); da != db {
		return da < db
	}
	if da, db := frameRateDistance(want, a), frameRateDistance(want, b); da != db {
		return da < db
	}
	return a.cost < b.cost
}

// fitnessDistance returns the distance of two sizes by their ratios: 640 is as far from 320 as from
// 1280. The ideal values of constrainable properties are compared in a similar way (W3C Media
// Capture and Streams section 11).
func fitnessDistance(a, b Mode) float64 {
	return math.Abs(math.Log(float64(a.Width)/float64(b.Width))) + math.Abs(math.Log(float64(a.Height)/float64(b.Height)))
}

// frameRateDistance returns the distance rounded to a tenth, so that 29.97 equals 30.
func frameRateDistance(a, b Mode) float64 {
	if b.Rate == 0 {
		return 1000
	}
	return math.Round(math.Abs(a.Rate-b.Rate)*10) / 10
}

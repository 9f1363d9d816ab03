package source

import (
	"bytes"
	"image"
	"time"

	"parley/media/testsignal"

	"golang.org/x/image/vp8"
)

const (
	eyeInterval = time.Second / 40 // a little less than between 30 frames a second, whose arrivals jitter
	eyeWidth    = 1280
	eyeHeight   = 720
)

// eye decodes key frames of VP8 and reads their strip.
type eye struct{ last time.Time }

// read returns the frame number of a key frame.
func (e *eye) read(frame []byte, width, height int, now time.Time) (uint32, bool) {
	if width <= 0 || height <= 0 || width > eyeWidth || height > eyeHeight || now.Sub(e.last) < eyeInterval {
		return 0, false
	}
	e.last = now
	img, ok := decodeVP8(frame)
	if !ok {
		return 0, false
	}
	return testsignal.ReadFrameID(img)
}

// decodeVP8 decodes a key frame. The frame comes from a stranger, so that a decoder that panics must not take the call
// with it.
func decodeVP8(frame []byte) (img image.Image, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(frame), len(frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		return nil, false
	}
	decoded, err := d.DecodeFrame()
	if err != nil {
		return nil, false
	}
	return decoded, true
}

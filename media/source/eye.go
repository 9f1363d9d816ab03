package source

import (
	"time"

	"parley/media/decoder"
	"parley/media/testsignal"
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
	img, ok := decoder.DecodeVP8KeyFrame(frame)
	if !ok {
		return 0, false
	}
	return testsignal.ReadFrameID(img)
}

package quality

import (
	"sync"
	"time"

	"parley/media"
	"parley/media/decoder"
	"parley/media/testsignal"

	"github.com/pion/webrtc/v4"
)

const (
	frameIDInterval  = time.Second / 40 // below the interval of 30 frames/s, whose arrivals jitter
	maxFrameIDWidth  = 1280
	maxFrameIDHeight = 720
)

// FrameIDStats are what a FrameIDReader has read.
type FrameIDStats struct {
	// Count is the number of frames with a frame ID, Latest the latest ID.
	Count  uint64
	Latest uint32
}

// A FrameIDReader decodes VP8 key frames of one track and reads their frame IDs. It implements
// media.FrameSink. It skips frames above 1280x720 or 30 frames/s; a frame of the default size takes
// about 3 ms.
type FrameIDReader struct {
	mu    sync.Mutex // guards stats
	stats FrameIDStats

	last time.Time // arrival of the latest frame that was decoded
}

// Stats returns what was read so far. It may be called from any goroutine.
func (r *FrameIDReader) Stats() FrameIDStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// WriteFrame implements media.FrameSink.
func (r *FrameIDReader) WriteFrame(f media.Frame) error {
	if f.Codec != webrtc.MimeTypeVP8 || !f.Key || f.Width <= 0 || f.Height <= 0 ||
		f.Width > maxFrameIDWidth || f.Height > maxFrameIDHeight || f.Arrival.Sub(r.last) < frameIDInterval {
		return nil
	}
	r.last = f.Arrival
	img, ok := decoder.DecodeVP8KeyFrame(f.Data)
	if !ok {
		return nil
	}
	if id, ok := testsignal.ReadFrameID(img); ok {
		r.mu.Lock()
		r.stats = FrameIDStats{Count: r.stats.Count + 1, Latest: id}
		r.mu.Unlock()
	}
	return nil
}

package localtrack

import (
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/internal/framerate"

	"github.com/pion/webrtc/v4"
)

// Stats are statistics of what a source has sent so far. What was not measured is 0 or "".
type Stats struct {
	// Frames counts frames of video, or packets of audio.
	Frames uint64
	// Width and Height of the latest key frame, in pixels.
	Width, Height int
	// FrameRate over the last second, in frames per second.
	FrameRate float64
	// Duration of the audio so far.
	Duration time.Duration
	// Encoder is the name of the encoder, "" if the media were encoded elsewhere.
	Encoder string
	// Bitrate is the target bitrate of the encoder in bit/s.
	Bitrate int
	// Limitation is why the quality is lower than requested: none, bandwidth or cpu.
	Limitation string
}

// measured collects the statistics of a track.
type measured struct {
	stats    Stats
	pace     framerate.Meter
	tooLarge bool // a NAL unit did not fit, and a warning was logged
}

// take notes a frame with its time in units of the clock rate.
func (m *measured) take(capability webrtc.RTPCodecCapability, frame []byte, ticks uint64, now time.Time) {
	m.stats.Frames++
	if media.KindOf(capability.MimeType) == webrtc.RTPCodecTypeAudio {
		m.stats.Duration += media.TicksToDuration(int64(codec.OpusPacketSamples(frame)), media.OpusClockRate)
		return
	}
	m.pace.Add(uint32(ticks), capability.ClockRate, now) //nolint:gosec // wraps by design
	if p := codec.ParseFrame(capability.MimeType, frame); p.Width > 0 {
		m.stats.Width, m.stats.Height = p.Width, p.Height
	}
}

// SourceStats returns the statistics so far. It may be called from any goroutine.
func (t *Track) SourceStats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.measured.stats
	s.FrameRate = t.measured.pace.Rate(time.Now())
	return s
}

// SetEncoder sets the name of the encoder in the statistics.
func (t *Track) SetEncoder(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.measured.stats.Encoder = name
}

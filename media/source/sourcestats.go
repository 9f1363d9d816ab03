package source

import (
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// SourceStats is what a source has made so far. What was not measured is 0 or "".
type SourceStats struct {
	// Frames are whole pictures, or packets of sound.
	Frames uint64
	// Width and Height of the latest key frame, in pixels.
	Width, Height int
	// FrameRate over the last second, in pictures a second.
	FrameRate float64
	// Duration of the sound so far.
	Duration time.Duration
	// Encoder is the name of what encodes it, "" for what was encoded elsewhere.
	Encoder string
	// Bitrate is what the encoder aims at, in bit/s.
	Bitrate int
	// Limitation is why the picture is less than was asked for: none, bandwidth or cpu.
	Limitation string
}

// measured is what a track notes of its frames.
type measured struct {
	stats SourceStats
	pace  cadence
}

// take notes a frame, at a time in units of the clock rate.
func (m *measured) take(capability webrtc.RTPCodecCapability, frame []byte, ticks uint64, now time.Time) {
	m.stats.Frames++
	if media.KindOf(capability.MimeType) == webrtc.RTPCodecTypeAudio {
		m.stats.Duration += media.TicksToDuration(int64(codec.OpusPacketSamples(frame)), media.OpusClockRate)
		return
	}
	m.pace.add(uint32(ticks), capability.ClockRate, now) //nolint:gosec // wraps by design
	if p := codec.ParseFrame(capability.MimeType, frame); p.Width > 0 {
		m.stats.Width, m.stats.Height = p.Width, p.Height
	}
}

// SourceStats is what has been measured so far. It may be called from any goroutine.
func (t *track) SourceStats() SourceStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.measured.stats
	s.FrameRate = t.measured.pace.rate(time.Now())
	return s
}

// EncodedBy tells the name of the encoder, for SourceStats.
func (t *track) EncodedBy(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.measured.stats.Encoder = name
}

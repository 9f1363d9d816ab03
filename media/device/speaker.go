package device

import (
	"log/slog"
	"slices"
	"sync"

	"parley/media"
	"parley/media/playout"
)

// A Speaker plays the mix of several playout buffers.
type Speaker struct {
	options SpeakerOptions
	device  playback
	once    sync.Once

	mu      sync.Mutex // guards what follows
	buffers []*playout.Buffer
	mix     []float32
}

// SpeakerOptions are the options of OpenSpeaker. The zero value works.
type SpeakerOptions struct {
	// ID is the index in List, the ID of the device, or a part of its name. The default is that of
	// the system.
	ID string

	// Warn is as in VideoOptions.
	Warn func(text string)

	// Logger is as in VideoOptions.
	Logger *slog.Logger
}

// playback is an open audio device.
type playback interface{ Close() }

// speakerChannels is the number of channels of the mix, those of audiodevice.Playback. Mono tracks
// are played on both.
const speakerChannels = 2

// OpenSpeaker opens an audio device for playback until Close. The error is a *media.FileError
// (missing, busy, not permitted, not in this build).
func OpenSpeaker(o SpeakerOptions) (*Speaker, error) {
	o.Warn, o.Logger = warnFunc(o.Warn), logger(o.Logger)
	s := &Speaker{options: o}
	device, err := openPlayback(s)
	if err != nil {
		return nil, &media.FileError{Path: "speaker " + o.ID, Err: err}
	}
	s.device = device
	return s, nil
}

// Add plays a buffer until Remove.
func (s *Speaker) Add(b *playout.Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = append(s.buffers, b)
}

// Remove stops playing a buffer.
func (s *Speaker) Remove(b *playout.Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = slices.DeleteFunc(s.buffers, func(other *playout.Buffer) bool { return other == b })
}

// Close closes the audio device.
func (s *Speaker) Close() error {
	s.once.Do(s.device.Close)
	return nil
}

// fill returns the next samples for the audio device, interleaved, valid until the next call.
func (s *Speaker) fill(frames int) []float32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if need := frames * speakerChannels; cap(s.mix) < need {
		s.mix = make([]float32, need)
	}
	mix := s.mix[:frames*speakerChannels]
	clear(mix)
	for _, b := range s.buffers {
		b.Mix(mix)
	}
	for i := range mix {
		mix[i] = softClip(mix[i])
	}
	return mix
}

// softClip compresses what exceeds 0.8 to below full scale, so that loud tracks do not clip when
// mixed.
func softClip(x float32) float32 {
	const knee = 0.8
	switch {
	case x > knee:
		return 1 - (1-knee)*(1-knee)/(x-knee+(1-knee))
	case x < -knee:
		return -softClip(-x)
	}
	return x
}

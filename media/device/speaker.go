package device

import (
	"log/slog"
	"sync"

	"parley/media"
	"parley/media/playout"
)

// A Speaker plays the voices of several calls at once.
type Speaker struct {
	options SpeakerOptions
	device  playback
	once    sync.Once

	mu     sync.Mutex // guards what follows
	voices []*playout.Buffer
	mix    []float32
}

// SpeakerOptions are the options of OpenSpeaker. The zero value works.
type SpeakerOptions struct {
	// ID is the number that List counts from 0, the device's ID, or a part of its name. The default is the system's.
	ID string

	// Warn is as in VideoOptions.
	Warn func(sentence string)

	// Logger is as in VideoOptions.
	Logger *slog.Logger
}

// playback is an open sound card.
type playback interface{ close() }

// speakerChannels is what is played: what has one channel comes from both sides.
const speakerChannels = 2

// OpenSpeaker opens a sound card for playing. The device is in use until Close. The error is a *media.FileError
// (missing, busy, not allowed, not in this build).
func OpenSpeaker(o SpeakerOptions) (*Speaker, error) {
	o.Warn, o.Logger = warnFunc(o.Warn), logger(o.Logger)
	s := &Speaker{options: o}
	device, err := openPlayback(o.ID, s)
	if err != nil {
		return nil, &media.FileError{Path: "speaker " + o.ID, Err: err}
	}
	s.device = device
	return s, nil
}

// Add has a voice heard until Remove.
func (s *Speaker) Add(v *playout.Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.voices = append(s.voices, v)
}

// Remove silences a voice.
func (s *Speaker) Remove(v *playout.Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.voices {
		if s.voices[i] == v {
			s.voices = append(s.voices[:i], s.voices[i+1:]...)
			return
		}
	}
}

// Close gives the sound card back.
func (s *Speaker) Close() error {
	s.once.Do(s.device.close)
	return nil
}

// fill is called by the sound card, which wants frames of samples now.
func (s *Speaker) fill(frames int) []float32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if need := frames * speakerChannels; cap(s.mix) < need {
		s.mix = make([]float32, need)
	}
	mix := s.mix[:frames*speakerChannels]
	clear(mix)
	for _, v := range s.voices {
		v.Mix(mix)
	}
	for i := range mix {
		mix[i] = softClip(mix[i])
	}
	return mix
}

// softClip bends what several loud voices add up to beyond full scale back below it, rather than to cut it off.
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

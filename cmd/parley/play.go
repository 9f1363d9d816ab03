package main

import (
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/sanitize"
	"parley/media/device"
	"parley/media/playout"
)

// playWait is how long a lost audio packet is waited for: it is not sent again, and only the order may
// have changed.
const playWait = 40 * time.Millisecond

// openSpeaker opens the audio device of --play, which all calls share.
func (s *settings) openSpeaker(all *closers) error {
	if !s.Play {
		return nil
	}
	warn := func(sentence string) { s.report.Warnf("%s", sanitize.Text(sentence)) }
	speaker, err := device.OpenSpeaker(device.SpeakerOptions{ID: s.AudioOut, Warn: warn, Logger: s.logger})
	if err != nil {
		return err
	}
	s.speaker, all.all = speaker, append(all.all, speaker)
	return nil
}

// playTrack returns the buffer from which a track is played, nil if it is not, and a function that ends that.
func (c *session) playTrack(kind webrtc.RTPCodecType) (*playout.Buffer, func()) {
	if c.speaker == nil || kind != webrtc.RTPCodecTypeAudio {
		return nil, func() {}
	}
	v, err := playout.NewBuffer(playout.Options{Warn: func(text string) { c.report.Warnf("%s", sanitize.Text(text)) }})
	if err != nil {
		c.report.Warnf("%s is not played: %v", kind, err)
		return nil, func() {}
	}
	c.speaker.Add(v)
	return v, func() {
		c.speaker.Remove(v)
		c.logger.Debug("played", "peer", c.name, "stats", v.Stats())
	}
}

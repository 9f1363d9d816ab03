package source

import (
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/testsignal"
)

const (
	audible    = 0.01 // of full scale: below, there is no sound
	soundStep  = media.OpusClockRate / 100
	mostUneven = 200 * time.Millisecond // words come at intervals that differ by less from those of the source
	underWay   = 300                    // ms: sound that is waited for is not missing before that
	// A pause is no longer than this, in samples: what is later than that says nothing about the sound before.
	longestPause = 600 * media.OpusClockRate
)

// soundJudge listens for the code of a test sound, and for gaps in any.
type soundJudge struct {
	ear   *ear
	code  *testsignal.TimecodeDetector
	words marks

	put    uint64        // samples that the code reader has had
	at     time.Duration // when the present packet came
	origin uint64        // its first sample
	run    int           // samples without sound
	loud   bool          // there was sound in the present step
	step   int
	heard  bool // there was sound at all
	gap    int  // the longest, in samples
	count  uint64

	latest   mark
	believed bool // the latest
}

func newSoundJudge() (*soundJudge, error) {
	e, err := newEar()
	if err != nil {
		return nil, err
	}
	return &soundJudge{ear: e, code: testsignal.NewTimecodeDetector()}, nil
}

// take decodes a packet. The ear is used for that alone, so that it does not matter how long it takes to look.
func (s *soundJudge) take(packet []byte, timestamp uint32, at time.Duration) {
	samples := codec.OpusPacketSamples(packet)
	if samples == 0 {
		return
	}
	if s.ear.started {
		if missing := int32(timestamp - s.ear.expected); missing > 0 { //nolint:gosec // wraps by design
			s.pause(int(min(missing, longestPause)))
		} else if missing < 0 {
			return // too late
		}
	}
	s.ear.expected, s.ear.started = timestamp+uint32(samples), true //nolint:gosec // at most 5760
	s.at, s.origin = at, s.put
	for _, sample := range s.ear.pcm[:s.ear.decode(packet)] {
		s.sample(float64(sample))
	}
}

// pause is silence where nothing came.
func (s *soundJudge) pause(samples int) {
	for range min(samples, media.OpusClockRate) {
		s.sample(0)
	}
	if rest := samples - media.OpusClockRate; rest > 0 {
		s.run += rest
		s.gap = max(s.gap, s.run)
	}
}

// word takes a word if it fits to the one before, for any sound may say one by chance.
func (s *soundJudge) word(m mark) {
	before, believed := s.latest, s.believed
	s.latest = m
	passed := time.Duration(m.number-before.number) * testsignal.TimecodeInterval
	if s.believed = before.number < m.number && (m.at-before.at-passed).Abs() < mostUneven; !s.believed {
		return
	}
	if !believed {
		s.words.add(before)
		s.count++
	}
	s.words.add(m)
	s.count++
}

func (s *soundJudge) sample(v float64) {
	s.put++
	if number, begin, ok := s.code.Write(v); ok {
		// As if the packet was played from the moment that it came.
		ago := time.Duration((float64(s.origin) - begin) * float64(time.Second) / media.OpusClockRate)
		s.word(mark{number, s.at - ago})
	}
	s.loud = s.loud || v > audible || v < -audible
	if s.step++; s.step < soundStep {
		return
	}
	switch {
	case s.loud:
		s.heard, s.run = true, 0
	case s.heard:
		s.run += soundStep
		s.gap = max(s.gap, s.run)
	}
	s.step, s.loud = 0, false
}

// quality adds what is known of the sound.
func (s *soundJudge) quality(q *Quality, now time.Duration) {
	q.Words = s.count
	if s.heard {
		gap := milliseconds(time.Duration(s.gap) * time.Second / media.OpusClockRate)
		if waits := milliseconds(now - s.at); waits > underWay {
			gap = max(gap, waits+milliseconds(time.Duration(s.run)*time.Second/media.OpusClockRate))
		}
		q.Gap = &gap
	}
}

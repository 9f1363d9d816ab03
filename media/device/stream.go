//go:build linux && cgo

package device

import (
	"sync"
	"time"

	"parley/media/localtrack"
)

// streamKey tells the streams of a hub apart.
type streamKey struct {
	mime   string
	halved int // times, of both sides
}

// stream is what one encoder makes, for all calls that want just that.
type stream struct {
	key  streamKey
	live *localtrack.Track
	aim  int // bit/s, 0 for what is fair for the size

	mu     sync.Mutex // guards what follows
	keyDue bool
	wishes map[*videoSource]int // bit/s that the network of a call carries
	target int                  // bit/s that the encoder is told last, 0 before
	why    string               // SourceStats.Limitation

	// The rest belongs to the goroutine that encodes.
	encoder resizing
	ladder  ladder
	count   int
}

func newStream(key streamKey, o VideoOptions) *stream {
	live := localtrack.New(localtrack.Capability(key.mime), o.StreamID, o.Logger)
	live.SetEncoder(encoderName(key.mime))
	return &stream{
		key: key, live: live, aim: o.Bitrate >> (2 * key.halved),
		wishes: make(map[*videoSource]int), encoder: resizing{mime: key.mime},
	}
}

// wantKey makes the next picture a key frame.
func (s *stream) wantKey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keyDue = true
}

// wish says what the network of one call carries, 0 for a call that has gone. The least of all is what is sent: they
// see the same stream.
func (s *stream) wish(of *videoSource, bitrate int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bitrate > 0 {
		s.wishes[of] = bitrate
	} else {
		delete(s.wishes, of)
	}
}

// take is what is to be done now.
func (s *stream) take(fair int) (bitrate int, key bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bitrate = s.aim; bitrate == 0 {
		bitrate = fair
	}
	for _, w := range s.wishes {
		bitrate = min(bitrate, w)
	}
	key, s.keyDue = s.keyDue, false
	return bitrate, key
}

// limited notes what keeps the picture below what was asked for.
func (s *stream) limited(bitrate, fair int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.aim
	if asked == 0 {
		asked = fair
	}
	s.target, s.why = bitrate, "none"
	switch {
	case s.ladder.machine > s.ladder.network:
		s.why = "cpu"
	case s.ladder.network > 0 || bitrate < asked:
		s.why = "bandwidth"
	}
}

// stats are those of what is sent.
func (s *stream) stats() localtrack.Stats {
	all := s.live.SourceStats()
	s.mu.Lock()
	defer s.mu.Unlock()
	all.Bitrate, all.Limitation = s.target, s.why
	return all
}

// send encodes a picture, unless nobody would see it, or it is one too many.
func (s *stream) send(sizes *pyramid, rate float64, start time.Time) error {
	if !s.live.Bound() || s.live.Congested() {
		return nil
	}
	if rate <= 0 {
		rate = defaultCameraRate
	}
	full := sizes.halved(s.key.halved)
	width, height := full.Rect.Dx(), full.Rect.Dy()
	fair := fairBitrate(width, height, rate)
	bitrate, key := s.take(fair)
	step := s.ladder.step(width, height, rate, bitrate, full.at)
	s.limited(bitrate, fair)
	if s.count++; s.count%step.every != 0 && !key {
		return nil
	}
	p := sizes.halved(s.key.halved + step.halved)
	begin := time.Now()
	s.encoder.rate = rate / float64(step.every)
	frame, err := s.encoder.encode(p, key, bitrate)
	if err != nil {
		return err
	}
	s.ladder.took(time.Since(begin), time.Duration(float64(step.every)/rate*float64(time.Second)))
	s.ladder.sent(len(frame))
	if len(frame) == 0 { // the encoder leaves pictures out to keep its bitrate
		if key {
			s.wantKey() // whoever asked for it still waits
		}
		return nil
	}
	s.live.WriteFrame(frame, p.at.Sub(start))
	return nil
}

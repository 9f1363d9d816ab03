package playout

import (
	"math"
	"testing"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

const (
	opusFrame   = 20 * time.Millisecond
	opusSamples = media.OpusClockRate / 50
	opusMaxSize = 1275 // bytes of one frame, RFC 6716 section 3.4
)

// speakerTest is a sender of a tone and the sound card of who hears it, without a network in between.
type speakerTest struct {
	t       *testing.T
	voice   *Buffer
	encoder *gopus.Encoder
	n       int
	gap     bool
	heard   []float32
}

func newSpeakerTest(t *testing.T) *speakerTest {
	t.Helper()
	v, err := NewBuffer(Options{Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: media.OpusClockRate, Channels: 1, Application: gopus.ApplicationAudio})
	if err != nil {
		t.Fatal(err)
	}
	return &speakerTest{t: t, voice: v, encoder: e}
}

// packet makes the next 20 ms of 440 Hz, and has them arrive unless they are lost.
func (s *speakerTest) packet(lost bool) {
	s.t.Helper()
	pcm := make([]float32, opusSamples)
	for i := range pcm {
		pcm[i] = float32(0.5 * math.Sin(2*math.Pi*440*float64(s.n*opusSamples+i)/media.OpusClockRate))
	}
	data := make([]byte, opusMaxSize)
	size, err := s.encoder.Encode(pcm, data)
	if err != nil {
		s.t.Fatal(err)
	}
	f := media.Frame{Kind: webrtc.RTPCodecTypeAudio, Codec: webrtc.MimeTypeOpus, Data: data[:size],
		Timestamp: uint32(s.n * opusSamples), ClockRate: media.OpusClockRate, Gap: s.gap}
	s.n++
	if s.gap = lost; lost {
		return
	}
	if err := s.voice.WriteFrame(f); err != nil {
		s.t.Fatal(err)
	}
}

// play has the sound card take d of sound.
func (s *speakerTest) play(d time.Duration) {
	pcm := make([]float32, int(d*media.OpusClockRate/time.Second))
	s.voice.Mix(pcm)
	s.heard = append(s.heard, pcm...)
}

// silence is the longest time without sound in what was heard, after it began.
func (s *speakerTest) silence() time.Duration {
	longest, run, begun := 0, 0, false
	for _, x := range s.heard {
		if x > 0.02 || x < -0.02 {
			run, begun = 0, true
		} else if run++; begun {
			longest = max(longest, run)
		}
	}
	return time.Duration(longest) * time.Second / media.OpusClockRate
}

// pitch is the frequency of what was heard in the last second.
func (s *speakerTest) pitch() float64 {
	last := s.heard[len(s.heard)-media.OpusClockRate:]
	crossings := 0
	for i := 1; i < len(last); i++ {
		if last[i-1] < 0 && last[i] >= 0 {
			crossings++
		}
	}
	return float64(crossings)
}

func (s *speakerTest) unbroken() {
	s.t.Helper()
	if gap := s.silence(); gap > 5*time.Millisecond {
		s.t.Errorf("it is silent for %v", gap)
	}
	if hz := s.pitch(); math.Abs(hz-440) > 4 {
		s.t.Errorf("it sounds like %v Hz, not 440", hz)
	}
}

func TestBufferPlaysWhatComes(t *testing.T) {
	s := newSpeakerTest(t)
	for range 100 {
		s.packet(false)
		s.play(opusFrame)
	}
	s.unbroken()
	if st := s.voice.Stats(); st.Underruns != 0 || st.Concealed != 0 || st.Delay > minTargetDelay+2*opusFrame {
		t.Errorf("%+v", st)
	}
}

func TestBufferConcealsLosses(t *testing.T) {
	s := newSpeakerTest(t)
	for i := range 200 {
		s.packet(i%10 == 5 || i%50 == 26)
		s.play(opusFrame)
	}
	s.unbroken()
	if st := s.voice.Stats(); st.Concealed != 24*opusSamples || st.Underruns != 0 {
		t.Errorf("of 24 lost packets %d samples are concealed; %+v", st.Concealed, st)
	}
}

// TestBufferSmoothsJitter: packets come five at a time, which the first targetDelay cannot bear and a later one can.
func TestBufferSmoothsJitter(t *testing.T) {
	s := newSpeakerTest(t)
	round := func(times int) {
		for range times {
			for range 5 {
				s.packet(false)
			}
			for range 10 {
				s.play(opusFrame / 2)
			}
		}
	}
	round(30)
	before := s.voice.Stats().Underruns
	s.heard = nil
	round(60)
	s.unbroken()
	if after := s.voice.Stats().Underruns; after != before {
		t.Errorf("it runs out %d times, and then %d times more", before, after-before)
	}
}

// TestBufferFollowsTheOtherClock: a sound card that is a little fast or slow neither runs out nor falls behind.
func TestBufferFollowsTheOtherClock(t *testing.T) {
	for name, slot := range map[string]time.Duration{
		"fast": opusFrame * 1002 / 1000,
		"slow": opusFrame * 998 / 1000,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpeakerTest(t)
			for range 2000 { // in which the clocks drift apart by 80 ms
				s.packet(false)
				s.play(slot)
			}
			s.unbroken()
			if st := s.voice.Stats(); st.Underruns != 0 || st.Dropped != 0 || st.Delay > minTargetDelay+3*opusFrame {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestBufferCatchesUp: what a stuck network delivers at once is left out, not played late for the rest of the call.
func TestBufferCatchesUp(t *testing.T) {
	s := newSpeakerTest(t)
	for range 50 {
		s.packet(false)
		s.play(opusFrame)
	}
	for range 40 { // 800 ms
		s.play(opusFrame)
	}
	for range 40 {
		s.packet(false)
	}
	for range 100 {
		s.packet(false)
		s.play(opusFrame)
	}
	st := s.voice.Stats()
	if st.Delay > minTargetDelay+targetDelayStep+maxExcessDelay || st.Dropped == 0 || st.Underruns != 1 {
		t.Errorf("%+v", st)
	}
}

// TestBufferPausesWithTheSpeaker: a sender that is quiet is no loss, and what follows is heard.
func TestBufferPausesWithTheSpeaker(t *testing.T) {
	s := newSpeakerTest(t)
	for range 30 {
		s.packet(false)
		s.play(opusFrame)
	}
	s.n += 50 // one second of nothing
	for range 50 {
		s.play(opusFrame)
	}
	for range 80 {
		s.packet(false)
		s.play(opusFrame)
	}
	if hz := s.pitch(); math.Abs(hz-440) > 4 {
		t.Errorf("after a pause it sounds like %v Hz", hz)
	}
}

func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0xfc, 1, 2, 3}, uint32(960), true)
	f.Fuzz(func(t *testing.T, packet []byte, timestamp uint32, gap bool) {
		v, err := NewBuffer(Options{})
		if err != nil {
			t.Fatal(err)
		}
		pcm := make([]float32, 2*opusSamples)
		for i := range uint32(8) {
			if err := v.WriteFrame(media.Frame{Data: packet, Timestamp: i * timestamp, Gap: gap}); err != nil {
				t.Fatal(err)
			}
			clear(pcm)
			v.Mix(pcm)
			for _, x := range pcm {
				if math.IsNaN(float64(x)) || x > 1 || x < -1 {
					t.Fatalf("sample %v", x)
				}
			}
		}
	})
}

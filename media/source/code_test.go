package source

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"parley/media"

	"github.com/thesyncim/gopus"
)

// heardWord is a word that was read, with how much later it came than it was said, in samples.
type heardWord struct {
	number uint32
	late   float64
}

// say encodes seconds of a test sound from a sample on, loses packets, and returns the words that are read of it.
func say(t *testing.T, bitrate int, from uint64, seconds int, lose func(packet int) bool) (words []heardWord) {
	t.Helper()
	source, err := newTone("test", testTone, AudioOptions{Bitrate: bitrate})
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: media.OpusClockRate, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	reader := newCodeReader()
	pcm, packet, heard := make([]float32, opusSamples), make([]byte, opusMaxSize), make([]float32, 5760)
	for n := range seconds * 50 {
		source.fill(pcm, from+uint64(n)*opusSamples) //nolint:gosec // small
		size, err := source.encoder.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decoder.Decode(packet[:size], heard)
		if err != nil || got != opusSamples {
			t.Fatal(got, err)
		}
		if lose != nil && lose(n) {
			clear(heard[:got])
		}
		for _, sample := range heard[:got] {
			if number, begin, ok := reader.put(float64(sample)); ok {
				words = append(words, heardWord{number, begin - (float64(number)*codeWord - float64(from))})
			}
		}
	}
	return words
}

// TestCode: words are read after Opus of each bitrate, each with its number, and at its time.
func TestCode(t *testing.T) {
	for name, test := range map[string]struct {
		bitrate int
		from    uint64
	}{"default": {0, 0}, "a day later": {0, 86400 * media.OpusClockRate}, "16 kbit/s": {16000, 5 * codeWord}, "24 kbit/s": {24000, 0}, "64 kbit/s": {64000, 100}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words := say(t, test.bitrate, test.from, 5, nil)
			if len(words) < 17 {
				t.Fatalf("%d of 20 words were read", len(words))
			}
			for i, w := range words {
				if i > 0 && w.number <= words[i-1].number || math.Abs(w.late-312) > 100 { // Opus is 6.5 ms late
					t.Errorf("word %d came %.2f ms late", w.number, w.late/48)
				}
			}
			t.Logf("%d words, %.2f ms late", len(words), words[0].late/48)
		})
	}
}

// TestCodeWithLoss: what is read in spite of lost packets is right.
func TestCodeWithLoss(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	words := say(t, 0, 0, 30, func(int) bool { return dice.Float64() < .05 })
	for _, w := range words {
		if w.number >= 120 || math.Abs(w.late-312) > 300 {
			t.Errorf("word %d came %.2f ms late", w.number, w.late/48)
		}
	}
	if len(words) < 40 {
		t.Errorf("%d of 120 words were read", len(words))
	}
}

// TestToneIsNoCode: a plain tone after Opus says nothing.
func TestToneIsNoCode(t *testing.T) {
	for _, hz := range []float64{600, 1300, 1700, 3000} {
		source, err := newTone("tone", hz, AudioOptions{})
		if err != nil {
			t.Fatal(err)
		}
		j := NewJudge(JudgeOptions{})
		pcm, packet := make([]float32, opusSamples), make([]byte, opusMaxSize)
		for n := range uint32(500) {
			source.fill(pcm, uint64(n)*opusSamples)
			size, err := source.encoder.Encode(pcm, packet)
			if err != nil {
				t.Fatal(err)
			}
			j.Sound(packet[:size], n*opusSamples, time.Duration(n)*opusFrame)
		}
		if q := j.Quality(10 * time.Second); q.Words > 0 {
			t.Errorf("%v Hz said %d words", hz, q.Words)
		}
	}
}

// TestNoCode: noise and other tones say nothing.
func TestNoCode(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	reader := newCodeReader()
	for n := range 60 * media.OpusClockRate {
		sample := dice.NormFloat64()*.1 + .2*math.Sin(2*math.Pi*float64(n)*1300/media.OpusClockRate)
		if number, _, ok := reader.put(sample); ok {
			t.Errorf("word %d at %d", number, n)
		}
	}
}

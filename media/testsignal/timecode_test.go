package testsignal

import (
	"math"
	"math/rand/v2"
	"testing"

	"parley/media"

	"github.com/thesyncim/gopus"
)

const frameSamples = media.OpusClockRate / 50

// detected is a timecode that was read, with its delay in samples.
type detected struct {
	number uint32
	delay  float64
}

// transcode encodes seconds of a tone with timecode from a sample on as Opus, silences lost
// packets, and returns the timecodes that are read.
func transcode(t *testing.T, tone Tone, bitrate int, from uint64, seconds int, lose func(packet int) bool) (codes []detected) {
	t.Helper()
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: media.OpusClockRate, Channels: 1, Application: gopus.ApplicationAudio})
	if err != nil {
		t.Fatal(err)
	}
	if bitrate > 0 {
		if err := encoder.SetBitrate(bitrate); err != nil {
			t.Fatal(err)
		}
	}
	decoder, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: media.OpusClockRate, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	detector := NewTimecodeDetector()
	pcm, packet, heard := make([]float32, frameSamples), make([]byte, 1275), make([]float32, 5760)
	for n := range seconds * 50 {
		tone.Fill(pcm, 1, from+uint64(n)*frameSamples) //nolint:gosec // small
		size, err := encoder.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decoder.Decode(packet[:size], heard)
		if err != nil || got != frameSamples {
			t.Fatal(got, err)
		}
		if lose != nil && lose(n) {
			clear(heard[:got])
		}
		for _, sample := range heard[:got] {
			if number, begin, ok := detector.Write(float64(sample)); ok {
				codes = append(codes, detected{number, begin - (float64(number)*timecodeLength - float64(from))})
			}
		}
	}
	return codes
}

// TestTimecode: timecodes are read after Opus of each bitrate, with their number and at their time.
func TestTimecode(t *testing.T) {
	for name, test := range map[string]struct {
		bitrate int
		from    uint64
	}{
		"default": {0, 0}, "a day later": {0, 86400 * media.OpusClockRate}, "16 kbit/s": {16000, 5 * timecodeLength},
		"24 kbit/s": {24000, 0}, "64 kbit/s": {64000, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			codes := transcode(t, Tone{Frequency: DefaultFrequency, Timecode: true}, test.bitrate, test.from, 5, nil)
			if len(codes) < 17 {
				t.Fatalf("%d of 20 timecodes were read", len(codes))
			}
			for i, c := range codes {
				if i > 0 && c.number <= codes[i-1].number || math.Abs(c.delay-312) > 100 { // Opus delays by 6.5 ms
					t.Errorf("timecode %d has a delay of %.2f ms", c.number, c.delay/48)
				}
			}
		})
	}
}

// TestTimecodeWithLoss: what is read in spite of lost packets is right.
func TestTimecodeWithLoss(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	codes := transcode(t, Tone{Frequency: DefaultFrequency, Timecode: true}, 0, 0, 30, func(int) bool { return random.Float64() < .05 })
	for _, c := range codes {
		if c.number >= 120 || math.Abs(c.delay-312) > 300 {
			t.Errorf("timecode %d has a delay of %.2f ms", c.number, c.delay/48)
		}
	}
	if len(codes) < 40 {
		t.Errorf("%d of 120 timecodes were read", len(codes))
	}
}

// TestNoTimecode: noise and other tones have no timecode.
func TestNoTimecode(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	detector := NewTimecodeDetector()
	for n := range 60 * media.OpusClockRate {
		sample := random.NormFloat64()*.1 + .2*math.Sin(2*math.Pi*float64(n)*1300/media.OpusClockRate)
		if number, _, ok := detector.Write(sample); ok {
			t.Errorf("timecode %d at %d", number, n)
		}
	}
}

// TestTone: the tone is pure, at its frequency and level, and does not jump between packets.
func TestTone(t *testing.T) {
	for _, hz := range []float64{20, 440, 1000.5, 7999} {
		tone := Tone{Frequency: hz}
		const hour = 3600 * media.OpusClockRate
		for _, first := range []uint64{0, hour * 10} {
			pcm := make([]float32, media.OpusClockRate*2)
			for n := 0; n < media.OpusClockRate; n += frameSamples {
				tone.Fill(pcm[2*n:2*n+2*frameSamples], 2, first+uint64(n)) //nolint:gosec // small
			}
			for n := 1; n < media.OpusClockRate-1; n++ {
				// A sine obeys x[n+1] = 2 cos(w) x[n] - x[n-1].
				want := 2*math.Cos(2*math.Pi*hz/media.OpusClockRate)*float64(pcm[2*n]) - float64(pcm[2*n-2])
				if math.Abs(want-float64(pcm[2*n+2])) > 1e-4 || pcm[2*n] != pcm[2*n+1] || math.Abs(float64(pcm[2*n])) > toneAmplitude {
					t.Fatalf("tone of %v Hz jumps at sample %d", hz, n)
				}
			}
		}
	}
}

func BenchmarkTone(b *testing.B) {
	tone, pcm := Tone{Frequency: DefaultFrequency, Timecode: true}, make([]float32, frameSamples)
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n += frameSamples {
		tone.Fill(pcm, 1, n)
	}
}

package source

import (
	"math"
	"math/rand/v2"
	"testing"

	"parley/media"
	"parley/media/codec"

	"github.com/thesyncim/gopus"
)

// hear encodes samples of a signal, by number, for the given seconds, and returns what the ear says last, and how many
// times it said it.
func hear(t testing.TB, seconds float64, signal func(n int) float64) (tone, level float64, news int) {
	t.Helper()
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: media.OpusClockRate, Channels: 1, Application: gopus.ApplicationAudio})
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEar()
	if err != nil {
		t.Fatal(err)
	}
	pcm, packet := make([]float32, opusSamples), make([]byte, opusMaxSize)
	for n := 0; n < int(seconds*media.OpusClockRate); n += opusSamples {
		for i := range pcm {
			pcm[i] = float32(signal(n + i))
		}
		size, err := encoder.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		if f, l, ok := e.hear(packet[:size], uint32(n), 0.02); ok { //nolint:gosec // small
			tone, level, news = f, l, news+1
		}
	}
	return tone, level, news
}

func sine(hz float64) func(int) float64 {
	return func(n int) float64 { return 0.25 * math.Sin(2*math.Pi*hz*float64(n)/media.OpusClockRate) }
}

func TestEarHearsTones(t *testing.T) {
	for _, hz := range []float64{60, 440, 1000, 4321, 12000} {
		if tone, level, _ := hear(t, 1, sine(hz)); math.Abs(tone-hz) > 0.01*hz || math.Abs(level+15) > 1.5 {
			t.Errorf("%v Hz is heard as %v Hz at %v dBFS", hz, tone, level)
		}
	}
}

// TestEarHearsABeep: the fake microphone of Chromium beeps for 20 ms twice a second, with a square wave.
func TestEarHearsABeep(t *testing.T) {
	for _, offset := range []int{0, 5000, 11000, 17000} {
		beep := func(n int) float64 {
			if n = (n + offset) % (media.OpusClockRate / 2); n >= media.OpusClockRate/50 {
				return 0
			}
			if n/(media.OpusClockRate/400/2)%2 == 0 {
				return 0.5
			}
			return -0.5
		}
		if tone, level, _ := hear(t, 3, beep); math.Abs(tone-400) > 20 || level < quiet {
			t.Errorf("offset %d: the beep is heard as %v Hz at %v dBFS", offset, tone, level)
		}
	}
}

func TestEarHearsNoTone(t *testing.T) {
	if tone, level, news := hear(t, 2, func(int) float64 { return 0 }); tone != 0 || level > -90 || news == 0 {
		t.Errorf("silence is heard as %v Hz at %v dBFS, %d times", tone, level, news)
	}
	random := rand.New(rand.NewPCG(1, 1))
	if tone, level, _ := hear(t, 2, func(int) float64 { return random.Float64() - 0.5 }); tone != 0 || level < -20 {
		t.Errorf("noise is heard as %v Hz at %v dBFS", tone, level)
	}
}

// TestEarPauses: what a sender leaves out is silence.
func TestEarPauses(t *testing.T) {
	e, err := newEar()
	if err != nil {
		t.Fatal(err)
	}
	for i := range e.ring {
		e.put(0.5 * math.Sin(float64(i)))
	}
	e.started, e.fresh = true, 0
	_, level, news := e.hear([]byte{0xF8, 0xFF, 0xFE}, media.OpusClockRate, 1) // an empty frame, a second later
	if !news || level > -40 {
		t.Errorf("level after a pause is %v, %v", level, news)
	}
}

// TestEarIsBounded: a sender of more audio than time allows is not decoded.
func TestEarIsBounded(t *testing.T) {
	e, err := newEar()
	if err != nil {
		t.Fatal(err)
	}
	packet := []byte{0xFB, 6, 0, 0, 0, 0, 0, 0} // six frames of 20 ms
	decoded := 0.0
	for i := range uint32(1000) {
		before := e.budget
		e.hear(packet, i*5760, 0.001)
		decoded += math.Max(0, before+0.001*earBudget-e.budget)
	}
	if decoded > earBurst+1.01*earBudget {
		t.Errorf("%v s of audio were decoded in a second", decoded/media.OpusClockRate)
	}
	for _, bad := range [][]byte{nil, {0xFB}, {0xFF, 0xFF, 1}, {0xFC, 1, 2, 3}} {
		e.hear(bad, 0, 1)
	}
}

func TestOpusDuration(t *testing.T) {
	for _, test := range []struct {
		packet []byte
		want   int
	}{
		{nil, 0}, {[]byte{0x00}, 480}, {[]byte{0x18}, 2880}, {[]byte{0x60}, 480}, {[]byte{0x68}, 960},
		{[]byte{0x80}, 120}, {[]byte{0xF8}, 960}, {[]byte{0xF9}, 1920}, {[]byte{0xFB}, 0}, {[]byte{0xFB, 3}, 2880},
		{[]byte{0xFB, 0x80 | 6}, 5760}, {[]byte{0xFB, 7}, 0}, {[]byte{0x1B, 2}, 5760}, {[]byte{0x1B, 3}, 0},
	} {
		if got := codec.OpusPacketSamples(test.packet); got != test.want {
			t.Errorf("% x lasts %d, want %d", test.packet, got, test.want)
		}
	}
}

package quality

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

const (
	frameDuration = 20 * time.Millisecond
	frameSamples  = media.OpusClockRate / 50
)

// encodeOpus returns a function that encodes 20 ms of mono samples.
func encodeOpus(t testing.TB) func(pcm []float32) []byte {
	t.Helper()
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: media.OpusClockRate, Channels: 1, Application: gopus.ApplicationAudio})
	if err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1275)
	return func(pcm []float32) []byte {
		size, err := encoder.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		return packet[:size]
	}
}

// audioFrame returns packet n of a track, of 20 ms each.
func audioFrame(mime string, data []byte, n int) media.Frame {
	rate := uint32(media.OpusClockRate)
	if mime != webrtc.MimeTypeOpus {
		rate = g711ClockRate
	}
	return media.Frame{
		Kind: webrtc.RTPCodecTypeAudio, Codec: mime, Data: data, ClockRate: rate, Key: true,
		Timestamp: uint32(n) * rate / 50, Arrival: time.Unix(1000, 0).Add(time.Duration(n) * frameDuration), //nolint:gosec // small
	}
}

// measureTone sends a signal, by sample number at 48 kHz, through Opus into a meter.
func measureTone(t testing.TB, seconds float64, signal func(n int) float64) ToneStats {
	t.Helper()
	encode, m := encodeOpus(t), NewToneMeter()
	pcm := make([]float32, frameSamples)
	for n := range int(seconds * 50) {
		for i := range pcm {
			pcm[i] = float32(signal(n*frameSamples + i))
		}
		if err := m.WriteFrame(audioFrame(webrtc.MimeTypeOpus, encode(pcm), n)); err != nil {
			t.Fatal(err)
		}
	}
	return m.Stats()
}

func sine(hz float64) func(int) float64 {
	return func(n int) float64 { return 0.25 * math.Sin(2*math.Pi*hz*float64(n)/media.OpusClockRate) }
}

func TestToneMeter(t *testing.T) {
	for _, hz := range []float64{60, 440, 1000, 4321, 12000} {
		s := measureTone(t, 1, sine(hz))
		if math.Abs(s.Tone-hz) > 0.01*hz || math.Abs(s.Level+15) > 1.5 {
			t.Errorf("got %v Hz at %v dBFS, want %v Hz", s.Tone, s.Level, hz)
		}
		if s.Samples != media.OpusClockRate || math.Abs(s.Energy-0.031) > 0.005 {
			t.Errorf("%v Hz: got %d samples with an energy of %v", hz, s.Samples, s.Energy)
		}
	}
}

// TestToneMeterG711: the tone of a telephone is measured too.
func TestToneMeterG711(t *testing.T) {
	for mime, decode := range map[string]func(byte) float32{webrtc.MimeTypePCMU: codec.DecodeMuLaw, webrtc.MimeTypePCMA: codec.DecodeALaw} {
		var period [200]byte // 11 periods of 440 Hz at 8 kHz
		for i := range period {
			want := sine(440)(i * 6)
			for b := range 256 {
				if math.Abs(float64(decode(byte(b)))-want) < math.Abs(float64(decode(period[i]))-want) {
					period[i] = byte(b)
				}
			}
		}
		m := NewToneMeter()
		for n := range 100 {
			data := make([]byte, 160)
			for i := range data {
				data[i] = period[(n*160+i)%len(period)]
			}
			if err := m.WriteFrame(audioFrame(mime, data, n)); err != nil {
				t.Fatal(err)
			}
		}
		if s := m.Stats(); math.Abs(s.Tone-440) > 2 || math.Abs(s.Level+15) > 1 {
			t.Errorf("%s: got %v Hz at %v dBFS, want 440 Hz at -15 dBFS", mime, s.Tone, s.Level)
		}
	}
}

// TestToneMeterBeep: the fake microphone of Chromium beeps for 20 ms twice a second, with a square
// wave.
func TestToneMeterBeep(t *testing.T) {
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
		if s := measureTone(t, 3, beep); math.Abs(s.Tone-400) > 20 || s.Level < minToneLevel {
			t.Errorf("offset %d: got %v Hz at %v dBFS, want 400 Hz", offset, s.Tone, s.Level)
		}
	}
}

func TestToneMeterNoTone(t *testing.T) {
	if s := measureTone(t, 2, func(int) float64 { return 0 }); s.Tone != 0 || s.Level > -90 || s.Samples == 0 {
		t.Errorf("silence: got %+v", s)
	}
	random := rand.New(rand.NewPCG(1, 1))
	if s := measureTone(t, 2, func(int) float64 { return random.Float64() - 0.5 }); s.Tone != 0 || s.Level < -20 {
		t.Errorf("noise: got %+v", s)
	}
}

// TestToneMeterPause: what a sender leaves out is silence.
func TestToneMeterPause(t *testing.T) {
	encode, m := encodeOpus(t), NewToneMeter()
	pcm := make([]float32, frameSamples)
	for n := range 100 {
		for i := range pcm {
			pcm[i] = float32(sine(440)(n*frameSamples + i))
		}
		if err := m.WriteFrame(audioFrame(webrtc.MimeTypeOpus, encode(pcm), n)); err != nil {
			t.Fatal(err)
		}
	}
	before := m.Stats()
	if err := m.WriteFrame(audioFrame(webrtc.MimeTypeOpus, []byte{0xF8, 0xFF, 0xFE}, 200)); err != nil { // an empty frame, two seconds later
		t.Fatal(err)
	}
	if after := m.Stats(); before.Level < -20 || after.Level > -35 {
		t.Errorf("the level before a pause is %v, after it %v", before.Level, after.Level)
	}
}

// TestToneMeterIsBounded: a sender of more audio than real time is not decoded.
func TestToneMeterIsBounded(t *testing.T) {
	m := NewToneMeter()
	packet := []byte{0xFB, 6, 0, 0, 0, 0, 0, 0} // six frames of 20 ms
	for i := range uint32(1000) {
		f := audioFrame(webrtc.MimeTypeOpus, packet, 0)
		f.Timestamp, f.Arrival = i*5760, f.Arrival.Add(time.Duration(i)*time.Millisecond)
		if err := m.WriteFrame(f); err != nil {
			t.Fatal(err)
		}
	}
	if s := m.Stats(); s.Samples == 0 || s.Samples > decodeBurst+decodeRate {
		t.Errorf("%d samples were decoded in a second", s.Samples)
	}
	for _, bad := range [][]byte{nil, {0xFB}, {0xFF, 0xFF, 1}, {0xFC, 1, 2, 3}} {
		if err := m.WriteFrame(audioFrame(webrtc.MimeTypeOpus, bad, 5000)); err != nil {
			t.Error(err)
		}
	}
	if err := m.WriteFrame(audioFrame(webrtc.MimeTypeG722, make([]byte, 160), 5001)); err != nil {
		t.Error(err)
	}
	if err := m.WriteFrame(audioFrame(webrtc.MimeTypePCMU, make([]byte, 60000), 5002)); err != nil {
		t.Error(err)
	}
}

func BenchmarkToneMeter(b *testing.B) {
	encode, m := encodeOpus(b), NewToneMeter()
	pcm := make([]float32, frameSamples)
	for i := range pcm {
		pcm[i] = float32(sine(440)(i))
	}
	packet := encode(pcm)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if err := m.WriteFrame(audioFrame(webrtc.MimeTypeOpus, packet, n)); err != nil {
			b.Fatal(err)
		}
	}
}

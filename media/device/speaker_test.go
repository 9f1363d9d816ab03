package device

import (
	"math"
	"testing"

	"parley/media"
	"parley/media/playout"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

// TestSpeakerKeepsStereo plays a track that has a tone in its left channel only.
func TestSpeakerKeepsStereo(t *testing.T) {
	const samples = media.OpusClockRate / 50
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: media.OpusClockRate, Channels: 2, Application: gopus.ApplicationAudio})
	if err != nil {
		t.Fatal(err)
	}
	buffer, err := playout.NewBuffer(playout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var s Speaker
	s.Add(buffer)
	pcm, packet := make([]float32, 2*samples), make([]byte, 1275)
	var energy [2]float64
	for n := range 50 {
		for i := range samples {
			pcm[2*i] = float32(0.5 * math.Sin(2*math.Pi*440*float64(n*samples+i)/media.OpusClockRate))
		}
		size, err := encoder.Encode(pcm, packet)
		if err != nil {
			t.Fatal(err)
		}
		if err := buffer.WriteFrame(media.Frame{Codec: webrtc.MimeTypeOpus, Data: packet[:size],
			Timestamp: uint32(n * samples), ClockRate: media.OpusClockRate}); err != nil {
			t.Fatal(err)
		}
		for i, v := range s.fill(samples) {
			energy[i%2] += float64(v) * float64(v)
		}
	}
	if db := 10 * math.Log10(energy[0]/(energy[1]+1e-9)); db < 30 {
		t.Errorf("the left channel is %.0f dB louder than the right one, want at least 30", db)
	}
}

func TestSoftClip(t *testing.T) {
	last := float32(-2)
	for x := float32(-4); x <= 4; x += 0.01 {
		y := softClip(x)
		if y <= last || y >= 1 || y <= -1 {
			t.Fatalf("softClip(%v) is %v, after %v", x, y, last)
		}
		if x > -0.8 && x < 0.8 && y != x {
			t.Fatalf("softClip(%v) is %v", x, y)
		}
		last = y
	}
}

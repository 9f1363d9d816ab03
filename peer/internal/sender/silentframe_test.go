package sender

import (
	"bytes"
	"testing"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

// TestSilentFrame: a decoder makes silence of the same duration of it.
func TestSilentFrame(t *testing.T) {
	for name, c := range map[string]struct {
		packet   []byte
		quarters int
	}{
		"CELT 2.5 ms":        {[]byte{28 << 3, 1, 2, 3}, 1},
		"CELT 10 ms":         {[]byte{30 << 3, 1, 2, 3}, 4},
		"CELT 20 ms, stereo": {[]byte{31<<3 | 4, 1, 2, 3}, 8},
		"SILK 60 ms":         {[]byte{11 << 3, 1, 2, 3}, 24},
		"hybrid 20 ms":       {[]byte{13 << 3, 1}, 8},
		"two of 20 ms":       {[]byte{31<<3 | 1, 1, 1}, 16},
		"three of 20 ms":     {[]byte{31<<3 | 3, 3, 1, 1, 1}, 24},
		"cut off":            {[]byte{31<<3 | 3}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			if got := opusQuarters(c.packet); got != c.quarters {
				t.Errorf("packet lasts %v ms, want %v", float64(got)*2.5, float64(c.quarters)*2.5)
			}
			quiet := silentFrame(webrtc.MimeTypeOpus, c.packet)
			if got := opusQuarters(quiet); got != c.quarters {
				t.Errorf("silent frame lasts %v ms, want %v", float64(got)*2.5, float64(c.quarters)*2.5)
			}
			decoder, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: 48000, Channels: 1})
			if err != nil {
				t.Fatal(err)
			}
			samples := make([]float32, 5760)
			n, err := decoder.Decode(quiet, samples)
			if err != nil {
				t.Fatal(err)
			}
			if n != c.quarters*120 {
				t.Errorf("%d samples, want %d", n, c.quarters*120)
			}
			for i, s := range samples[:n] {
				if s > 1e-4 || s < -1e-4 {
					t.Fatalf("sample %d is %v", i, s)
				}
			}
		})
	}
	if got := silentFrame(webrtc.MimeTypePCMU, make([]byte, 3)); !bytes.Equal(got, []byte{255, 255, 255}) {
		t.Errorf("PCMU: %x", got)
	}
}

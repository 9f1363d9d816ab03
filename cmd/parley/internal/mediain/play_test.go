package mediain

import (
	"slices"
	"testing"

	"github.com/pion/webrtc/v4"

	"parley/media/device"
)

// With --play an offer has the codecs that are played, G.711 among them, and not G.722.
func TestPlayOffersPlayableCodecs(t *testing.T) {
	r := New(t.Context(), Options{Speaker: &device.Speaker{}})
	names := r.OfferedCodecs(nil)
	for mime, want := range map[string]bool{
		webrtc.MimeTypeOpus: true, webrtc.MimeTypePCMU: true, webrtc.MimeTypePCMA: true, webrtc.MimeTypeG722: false,
	} {
		if slices.Contains(names, mime) != want {
			t.Errorf("offer of %s: %v, want %v (%q)", mime, !want, want, names)
		}
	}
}

package sender

import (
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// TestKeyFrameGate: after a dropped packet frames are dropped until a key frame comes, but not for
// ever.
func TestKeyFrameGate(t *testing.T) {
	now := time.Unix(1000, 0)
	key, other := []byte{0x10, 0x10}, []byte{0x10, 0x11}
	passes := func(g *keyFrameGate, payload []byte, want bool) {
		t.Helper()
		if got := g.passes(webrtc.MimeTypeVP8, payload, now); got != want {
			t.Errorf("%x passes: %v", payload, got)
		}
	}
	var g keyFrameGate
	passes(&g, other, true)
	g.close()
	passes(&g, other, false)
	passes(&g, key, true)
	passes(&g, other, true)
	g.close()
	now = now.Add(time.Minute) // while nothing was written
	passes(&g, other, false)
	now = now.Add(keyFrameTimeout)
	passes(&g, other, true)
}

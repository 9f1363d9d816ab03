package peer

import (
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// After something was not sent a picture waits for a key frame, but not for ever.
func TestKeyWait(t *testing.T) {
	now := time.Unix(1000, 0)
	key, other := []byte{0x10, 0x10}, []byte{0x10, 0x11}
	keeps := func(k *keyWait, payload []byte, want bool) {
		t.Helper()
		if got := k.keeps(webrtc.MimeTypeVP8, payload, now); got != want {
			t.Errorf("%x is kept back: %v", payload, got)
		}
	}
	var k keyWait
	keeps(&k, other, false)
	k.miss()
	keeps(&k, other, true)
	keeps(&k, key, false)
	keeps(&k, other, false)
	k.miss()
	now = now.Add(time.Minute) // while nothing was written
	keeps(&k, other, true)
	now = now.Add(keyPatience)
	keeps(&k, other, false)
}

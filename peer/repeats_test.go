package peer

import (
	"testing"
	"time"

	"github.com/pion/rtp"
)

func TestRepeatsAreBounded(t *testing.T) {
	var r repeats
	now := time.Unix(0, 0)
	packet := func(number uint16, own bool) bool {
		payload := make([]byte, 1000)
		h := &rtp.Header{SequenceNumber: number}
		if !own {
			payload[0], payload[1] = byte(number>>8), byte(number)
			h.SequenceNumber = 7
		}
		return r.admit(h, payload, own, 1_000_000, now)
	}
	for n := uint16(65500); n != 500; n++ {
		if !packet(n, true) {
			t.Fatalf("packet %d of the stream is held back", n)
		}
	}
	if !packet(499, false) || packet(499, false) {
		t.Error("a packet is not repeated, or twice at once")
	}
	now = now.Add(repeatPause)
	if !packet(499, false) {
		t.Error("a repeat that was lost is not repeated")
	}
	now = now.Add(time.Second)
	sent := 0
	for i := range 1000 { // a second of asking, all of the time
		now = now.Add(time.Millisecond)
		if packet(uint16(i%500), i%2 == 0) {
			sent++
		}
	}
	if bits := sent * 8000; bits < 250_000 || bits > 400_000 {
		t.Errorf("%d bit of repeats in a second on a path of 1 Mbit/s", bits)
	}
}

package sender

import (
	"math"
	"testing"
	"time"

	"github.com/pion/rtp"
)

func TestRTPMungerLeavesNoGap(t *testing.T) {
	var m rtpMunger
	now := time.Unix(1000, 0)
	expect := func(number uint16, timestamp uint32, wantNumber uint16, wantTimestamp uint32) {
		t.Helper()
		h := m.rewrite(&rtp.Header{SequenceNumber: number, Timestamp: timestamp}, 90000, now)
		if h.SequenceNumber != wantNumber || h.Timestamp != wantTimestamp {
			t.Errorf("%d at %d is sent as %d at %d, want %d at %d", number, timestamp, h.SequenceNumber, h.Timestamp, wantNumber, wantTimestamp)
		}
	}
	expect(65534, math.MaxUint32-10, 65534, math.MaxUint32-10)
	m.dropPacket() // 65535
	expect(0, 100, 65535, 100)
	now = now.Add(time.Second / 10)
	m.sourceChanged() // another track, with numbers of its own
	expect(7000, 5, 0, 9100)
	expect(7001, 3005, 1, 12100)
	expect(6999, 3005, 65535, 12100) // came late
	m.sourceChanged()
	expect(1, 1, 2, 12101) // at the same instant, and yet later
}

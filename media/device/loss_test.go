//go:build linux && cgo

package device

import (
	"testing"
	"time"
)

func TestExpectedLossFollowsWhatIsLost(t *testing.T) {
	var l losses
	now := time.Unix(0, 0)
	if got := l.expected(); got != leastLoss {
		t.Errorf("%d %% is expected before anything is known", got)
	}
	for _, step := range []struct {
		after time.Duration
		share float64
		want  int
	}{
		{0, 0, leastLoss}, {calmTime / 2, 0, leastLoss}, {calmTime, 0, 0}, // nothing is lost
		{time.Second, 0.01, leastLoss}, {time.Second, 0.2, 20}, {time.Second, 0.05, 20}, {time.Second, 0.9, mostLoss},
		{calmTime / 2, 0.05, mostLoss}, {calmTime, 0.15, 15}, {calmTime + 1, 0, 0},
	} {
		now = now.Add(step.after)
		if l.tell(step.share, now); l.expected() != step.want {
			t.Errorf("%v later, with %v lost, %d %% is expected, want %d", step.after, step.share, l.expected(), step.want)
		}
	}
}

// TestOpusFollowsTheLoss: without any loss the copies are left out, and come back with it.
func TestOpusFollowsTheLoss(t *testing.T) {
	copies := func(percent int) (copies int) {
		e, err := newOpus(48000, 1, 24000)
		if err != nil {
			t.Fatal(err)
		}
		defer e.close()
		if err := e.expect(percent); err != nil {
			t.Fatal(err)
		}
		pcm := speech(50 * 960)
		for i := range 50 {
			p, err := e.encode(pcm[i*960 : (i+1)*960])
			if err != nil {
				t.Fatal(err)
			}
			if hasCopy(p) {
				copies++
			}
		}
		return copies
	}
	if none, some := copies(0), copies(20); none != 0 || some < 25 {
		t.Errorf("of 50 packets %d have a copy without loss, and %d with 20 %% of it", none, some)
	}
}

// hasCopy tells if a packet of 20 ms of one channel has the one before once more: the low bit rate redundancy flag, which
// follows the one for speech (RFC 6716 section 4.2.3). Packets of CELT alone have none.
func hasCopy(packet []byte) bool { return packet[0]>>3 < 16 && packet[1]&0x40 != 0 }

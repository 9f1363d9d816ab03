package bwe

import (
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// limiterTest sends retransmissions of a stream on a path of 1 Mbit/s.
type limiterTest struct {
	rtxLimiter
	now     time.Time
	drained []uint16 // sent from the queue
}

func newLimiterTest() *limiterTest {
	l := &limiterTest{now: time.Unix(0, 0)}
	l.window = &congestionWindow{}
	l.queued = &l.window.queuedRTX
	l.write = func(_ *rtp.Header, payload []byte, _ interceptor.Attributes) (int, error) {
		l.drained = append(l.drained, uint16(payload[0])<<8|uint16(payload[1]))
		return len(payload), nil
	}
	return l
}

// packet reports whether a packet is sent at once; own is false for the RTX SSRC.
func (l *limiterTest) packet(number uint16, own bool) bool {
	payload := make([]byte, 1000)
	payload[0], payload[1] = byte(number>>8), byte(number)
	h := &rtp.Header{SequenceNumber: number}
	if !own {
		h.SequenceNumber = 7
	}
	return l.admit(h, payload, nil, own, 1_000_000, l.now)
}

func TestRTXLimiterBoundsBitrate(t *testing.T) {
	l := newLimiterTest()
	for n := uint16(65500); n != 500; n++ {
		if !l.packet(n, true) {
			t.Fatalf("packet %d of the stream is queued, want it sent", n)
		}
	}
	if !l.packet(499, false) || l.packet(499, false) {
		t.Error("a packet is not retransmitted once")
	}
	l.now = l.now.Add(minRTXInterval)
	if !l.packet(499, false) {
		t.Error("a retransmission is not repeated after the minimum interval")
	}
	l.now = l.now.Add(time.Second)
	sent := 0
	for i := range 1000 { // a second of NACKs without pause
		l.now = l.now.Add(time.Millisecond)
		l.drain(1_000_000, l.now)
		if l.packet(uint16(i%500), i%2 == 0) {
			sent++
		}
	}
	if bits := (sent + len(l.drained)) * 8000; bits < 700_000 || bits > 950_000 {
		t.Errorf("%d bits of retransmissions in a second on a path of 1 Mbit/s, want 700000 to 950000", bits)
	}
	if waiting := int(l.window.queuedRTX.Load()); waiting != len(l.queue) || waiting > maxQueuedRTX {
		t.Errorf("%d queued, counted as %d", len(l.queue), waiting)
	}
	if l.clear(); l.window.queuedRTX.Load() != 0 {
		t.Error("the queue of an ended stream is still counted")
	}
}

func TestRTXLimiterQueuesInOrder(t *testing.T) {
	l := newLimiterTest()
	l.window.full.Store(true)
	for range 3 {
		for n := range uint16(5) {
			if l.now = l.now.Add(20 * time.Millisecond); l.packet(n, false) {
				t.Fatalf("%d is sent at once without room", n)
			}
		}
		l.drain(1_000_000, l.now)
	}
	if len(l.drained) > 0 || !l.window.pushback() {
		t.Fatalf("sent without room: %v; pushback: %v", l.drained, l.window.pushback())
	}
	l.window.full.Store(false)
	l.drain(1_000_000, l.now)
	if len(l.drained) != 5 || l.drained[0] != 0 || l.drained[4] != 4 || l.window.pushback() {
		t.Errorf("sent: %v, want 0 to 4; pushback: %v", l.drained, l.window.pushback())
	}
}

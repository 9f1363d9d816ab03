package peer

import (
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// asker asks for packets of a stream again, on a path of 1 Mbit/s.
type asker struct {
	repeats
	now   time.Time
	later []uint16 // what was sent later
}

func newAsker() *asker {
	a := &asker{now: time.Unix(0, 0)}
	a.window = &window{}
	a.owing = &a.window.owing
	a.write = func(_ *rtp.Header, payload []byte, _ interceptor.Attributes) (int, error) {
		a.later = append(a.later, uint16(payload[0])<<8|uint16(payload[1]))
		return len(payload), nil
	}
	return a
}

// packet tells if it goes at once; own is one of the stream itself, which may be new.
func (a *asker) packet(number uint16, own bool) bool {
	payload := make([]byte, 1000)
	payload[0], payload[1] = byte(number>>8), byte(number)
	h := &rtp.Header{SequenceNumber: number}
	if !own {
		h.SequenceNumber = 7
	}
	return a.admit(h, payload, nil, own, 1_000_000, a.now)
}

func TestRepeatsAreBounded(t *testing.T) {
	a := newAsker()
	for n := uint16(65500); n != 500; n++ {
		if !a.packet(n, true) {
			t.Fatalf("packet %d of the stream is held back", n)
		}
	}
	if !a.packet(499, false) || a.packet(499, false) {
		t.Error("a packet is not repeated, or twice at once")
	}
	a.now = a.now.Add(repeatPause)
	if !a.packet(499, false) {
		t.Error("a repeat that was lost is not repeated")
	}
	a.now = a.now.Add(time.Second)
	sent := 0
	for i := range 1000 { // a second of asking, all of the time
		a.now = a.now.Add(time.Millisecond)
		a.pay(1_000_000, a.now)
		if a.packet(uint16(i%500), i%2 == 0) {
			sent++
		}
	}
	if bits := (sent + len(a.later)) * 8000; bits < 700_000 || bits > 950_000 {
		t.Errorf("%d bit of repeats in a second on a path of 1 Mbit/s", bits)
	}
	if waiting := int(a.window.owing.Load()); waiting != len(a.owed) || waiting > mostOwed {
		t.Errorf("%d wait, and %d are counted", len(a.owed), waiting)
	}
	if a.forget(); a.window.owing.Load() != 0 {
		t.Error("a stream that has ended still owes")
	}
}

// What has no room goes later, once, in order.
func TestRepeatsAreOwed(t *testing.T) {
	a := newAsker()
	a.window.full.Store(true)
	for range 3 {
		for n := range uint16(5) {
			if a.now = a.now.Add(20 * time.Millisecond); a.packet(n, false) {
				t.Fatalf("%d goes at once", n)
			}
		}
		a.pay(1_000_000, a.now)
	}
	if len(a.later) > 0 || !a.window.crowded() {
		t.Fatalf("%v went while there was no room; pictures wait: %v", a.later, a.window.crowded())
	}
	a.window.full.Store(false)
	a.pay(1_000_000, a.now)
	if len(a.later) != 5 || a.later[0] != 0 || a.later[4] != 4 || a.window.crowded() {
		t.Errorf("%v went; pictures wait: %v", a.later, a.window.crowded())
	}
}

// What is kept back takes no transport-wide number: to the other side it would be lost, and less would be sent for it,
// without end.
func TestRepeatsKeptBackAreNoLoss(t *testing.T) {
	var numbers []uint16
	_, w := newChain(t, func(h *rtp.Header) {
		var number rtp.TransportCCExtension
		if err := number.Unmarshal(h.GetExtension(chainNumber)); err != nil {
			t.Error(err)
		}
		numbers = append(numbers, number.TransportSequence)
	})
	for n := range uint16(100) { // half of them one packet again and again
		h := &rtp.Header{Version: 2, SSRC: chainSSRC, SequenceNumber: n * (n % 2)}
		if _, err := w.Write(h, make([]byte, 1000), interceptor.Attributes{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(numbers); n < 50 || n > 90 {
		t.Fatalf("%d packets left", n)
	}
	for i, n := range numbers {
		if int(n) != i {
			t.Fatalf("the %dth packet that left has the number %d", i, n)
		}
	}
}

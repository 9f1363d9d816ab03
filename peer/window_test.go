package peer

import (
	"testing"
	"time"
)

// pipe is a path that carries so many bytes a millisecond, and a far end that reports every 50 ms, as libwebrtc does.
type pipe struct {
	w       window
	now     time.Time
	carries int
	queued  int
	number  uint16
	arrived []uint16 // reports wait for
	bytes   []int    // of what is queued
	longest int      // queue, bytes
}

// run sends a picture of size bytes 30 times a second, unless it should wait, for so long.
func (p *pipe) run(d time.Duration, size int) (sent int) {
	for end, tick := p.now.Add(d), 0; p.now.Before(end); tick++ {
		p.now = p.now.Add(time.Millisecond)
		if tick%33 == 0 && !p.w.crowded() {
			for left := size; left > 0; left -= 1000 {
				p.number++
				p.w.send(p.number, 1000, p.now)
				p.bytes = append(p.bytes, 1000)
				p.queued += 1000
			}
			sent++
		}
		p.longest = max(p.longest, p.queued)
		for room := p.carries; room > 0 && len(p.bytes) > 0; {
			n := min(room, p.bytes[0])
			p.bytes[0] -= n
			p.queued -= n
			room -= n
			if p.bytes[0] == 0 {
				p.bytes = p.bytes[1:]
				p.arrived = append(p.arrived, p.number-uint16(len(p.bytes)))
			}
		}
		if p.now.UnixMilli()%50 == 0 && len(p.arrived) > 0 {
			p.w.report(p.arrived[len(p.arrived)-1], p.now)
			p.arrived = nil
		}
	}
	return sent
}

func TestWindowKeepsTheQueueShort(t *testing.T) {
	p := &pipe{now: time.UnixMilli(0), carries: 1000}
	p.w.send(0, 100, p.now) // nobody has reported: it is open
	const size = 5000       // 1.2 Mbit/s
	p.run(time.Second, size)
	if sent := p.run(2*time.Second, size); sent < 55 {
		t.Errorf("%d of 60 pictures are sent on a path that carries them", sent)
	}
	p.carries, p.longest = 62, 0 // 500 kbit/s; all pictures would make 4 s of queue
	sent := p.run(3*time.Second, size)
	if p.longest > 350*62 {
		t.Errorf("the queue was %d ms long", p.longest/62)
	}
	if carried := 3000 * 62 / size; sent < carried*7/10 {
		t.Errorf("%d pictures are sent where %d fit", sent, carried)
	}
	p.carries = 1000
	p.run(5*time.Second, size)
	if sent := p.run(2*time.Second, size); sent < 55 {
		t.Errorf("%d of 60 pictures are sent when the path carries all again", sent)
	}
}

func TestWindowWithoutReportsIsOpen(t *testing.T) {
	p := &pipe{now: time.UnixMilli(0)}
	if sent := p.run(2*time.Second, 5000); sent < 60 {
		t.Errorf("%d pictures are sent to who sends no reports", sent)
	}
}

func TestWindowOfHostileReports(t *testing.T) {
	w, now := &window{}, time.UnixMilli(0)
	for n := range uint16(100) {
		w.send(n, 1000, now)
	}
	w.report(50, now)
	for _, number := range []uint16{40, 5000, 65535, 50} { // old ones, and what was never sent
		w.report(number, now)
		if w.reported != 51_000 {
			t.Fatalf("a report of %d counts: %d bytes are reported", number, w.reported)
		}
	}
}

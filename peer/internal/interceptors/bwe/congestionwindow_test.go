package bwe

import (
	"testing"
	"time"
)

// path is an emulated path with a capacity, and a peer that sends feedback every 50 ms as libwebrtc
// does.
type path struct {
	w        congestionWindow
	now      time.Time
	capacity int // bytes per ms
	queued   int
	number   uint16
	arrived  []uint16 // awaiting feedback
	bytes    []int    // of the queued packets
	longest  int      // queue in bytes
}

// run sends a frame of size bytes 30 times a second for d, dropping frames on pushback.
func (p *path) run(d time.Duration, size int) (sent int) {
	for end, tick := p.now.Add(d), 0; p.now.Before(end); tick++ {
		p.now = p.now.Add(time.Millisecond)
		if tick%33 == 0 && !p.w.pushback() {
			for left := size; left > 0; left -= 1000 {
				p.number++
				p.w.onSent(p.number, 1000, p.now)
				p.bytes = append(p.bytes, 1000)
				p.queued += 1000
			}
			sent++
		}
		p.longest = max(p.longest, p.queued)
		for room := p.capacity; room > 0 && len(p.bytes) > 0; {
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
			p.w.onFeedback(p.arrived[len(p.arrived)-1], p.now)
			p.arrived = nil
		}
	}
	return sent
}

func TestCongestionWindowBoundsQueue(t *testing.T) {
	p := &path{now: time.UnixMilli(0), capacity: 1000}
	p.w.onSent(0, 100, p.now) // open without feedback
	const size = 5000         // 1.2 Mbit/s
	p.run(time.Second, size)
	if sent := p.run(2*time.Second, size); sent < 55 {
		t.Errorf("%d of 60 frames are sent on a path with capacity for all", sent)
	}
	p.capacity, p.longest = 62, 0 // 500 kbit/s; all frames would make 4 s of queue
	sent := p.run(3*time.Second, size)
	if p.longest > 350*62 {
		t.Errorf("the queue was %d ms long, want at most 350", p.longest/62)
	}
	if carried := 3000 * 62 / size; sent < carried*7/10 {
		t.Errorf("%d frames are sent, want 70%% of %d", sent, carried)
	}
	p.capacity = 1000
	p.run(5*time.Second, size)
	if sent := p.run(2*time.Second, size); sent < 55 {
		t.Errorf("%d of 60 frames are sent with full capacity again", sent)
	}
}

func TestCongestionWindowWithoutFeedbackIsOpen(t *testing.T) {
	p := &path{now: time.UnixMilli(0)}
	if sent := p.run(2*time.Second, 5000); sent < 60 {
		t.Errorf("%d frames are sent to a peer without feedback, want 60", sent)
	}
}

func TestCongestionWindowIgnoresHostileFeedback(t *testing.T) {
	w, now := &congestionWindow{}, time.UnixMilli(0)
	for n := range uint16(100) {
		w.onSent(n, 1000, now)
	}
	w.onFeedback(50, now)
	for _, number := range []uint16{40, 5000, 65535, 50} { // acknowledged, too old, never sent
		w.onFeedback(number, now)
		if w.acked != 51_000 {
			t.Fatalf("feedback for %d counts: %d bytes are acknowledged, want 51000", number, w.acked)
		}
	}
}

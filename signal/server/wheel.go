package server

import (
	"math/rand/v2"
	"sync"
	"time"
)

// wheel holds every connection of a server and pings them all from one goroutine. It turns one slot per tick; a connection sits
// in the slot of the tick at which it is looked at next. It is looked at twice per interval: to be pinged, and to have been
// heard since. So a dead socket is found within 1.2 intervals plus the pong timeout, 40 seconds by default.
type wheel struct {
	tick             time.Duration
	interval         int // ticks between pings, jittered by a fifth
	pongTimeoutTicks int // ticks that a ping may go unanswered

	heard func(*conn) bool // since the last ping

	mu    sync.Mutex // guards what follows, and slot and awaiting of every conn
	slots []map[*conn]struct{}
	hand  int
}

// wheelTicks is the resolution: ticks per ping interval.
const wheelTicks = 25

func newWheel(interval, pongTimeout time.Duration) *wheel {
	tick := max(interval/wheelTicks, time.Millisecond)
	w := &wheel{tick: tick, interval: wheelTicks, pongTimeoutTicks: max(int((pongTimeout+tick-1)/tick), 1), heard: (*conn).Heard}
	w.slots = make([]map[*conn]struct{}, max(w.interval*6/5, w.pongTimeoutTicks)+2)
	for i := range w.slots {
		w.slots[i] = make(map[*conn]struct{})
	}
	return w
}

func (w *wheel) add(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.putLocked(c, w.untilPing())
}

func (w *wheel) remove(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.slot >= 0 {
		delete(w.slots[c.slot], c)
	}
	c.slot = -1
}

// each calls do for every connection, outside the lock.
func (w *wheel) each(do func(*conn)) {
	w.mu.Lock()
	var all []*conn
	for _, slot := range w.slots {
		for c := range slot {
			all = append(all, c)
		}
	}
	w.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}

// turn moves the hand and returns whom to ping and who has not been heard since the last ping.
func (w *wheel) turn() (ping, dead []*conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hand = (w.hand + 1) % len(w.slots)
	for c := range w.slots[w.hand] {
		delete(w.slots[w.hand], c)
		switch {
		case !c.awaiting:
			c.awaiting = true
			w.putLocked(c, w.pongTimeoutTicks)
			ping = append(ping, c)
		case w.heard(c):
			c.awaiting = false
			w.putLocked(c, max(w.untilPing()-w.pongTimeoutTicks, 1))
		default:
			c.awaiting = false
			w.putLocked(c, w.untilPing()) // stays until its reader has ended
			dead = append(dead, c)
		}
	}
	return ping, dead
}

// pingNow makes c one that has just been pinged.
func (w *wheel) pingNow(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.slot < 0 { // it has ended
		return
	}
	delete(w.slots[c.slot], c)
	c.awaiting = true
	w.putLocked(c, w.pongTimeoutTicks)
}

func (w *wheel) putLocked(c *conn, ticks int) {
	c.slot = int32((w.hand + ticks) % len(w.slots))
	w.slots[c.slot][c] = struct{}{}
}

// untilPing is the interval in ticks, up to a fifth more or less, so that clients that came together do not stay together.
func (w *wheel) untilPing() int {
	spread := w.interval / 5
	return w.interval - spread + rand.IntN(2*spread+1)
}

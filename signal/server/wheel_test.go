package server

import (
	"testing"
	"time"
)

// TestWheelFindsTheDead turns a wheel by hand: who answers lives, who does not is found within an interval and the patience.
func TestWheelFindsTheDead(t *testing.T) {
	w := newWheel(25*time.Second, 10*time.Second)
	alive, dead := &conn{slot: -1}, &conn{slot: -1}
	heard := map[*conn]bool{}
	w.heard = func(c *conn) bool { return heard[c] }
	w.add(alive)
	w.add(dead)
	found, pings := 0, 0
	for tick := 1; tick <= 200; tick++ {
		now := int64(tick) * int64(w.tick)
		ping, gone := w.turn(now)
		for _, c := range ping {
			heard[c] = false
			if c == alive {
				pings++
				heard[c] = true
				if took, ok := w.ponged(c, now+5e6); !ok || took != 5*time.Millisecond {
					t.Errorf("the pong took %v, %v", took, ok)
				}
				if _, twice := w.ponged(c, now+6e6); twice {
					t.Error("a second pong counts")
				}
			}
		}
		for _, c := range gone {
			if c == alive {
				t.Fatal("who answers was found dead")
			}
			if found == 0 {
				found = tick
			}
		}
	}
	if found == 0 || found > 41 {
		t.Errorf("the dead was found after %d seconds", found)
	}
	if pings < 6 || pings > 10 {
		t.Errorf("%d pings in 200 seconds", pings)
	}
}

package device

import "time"

// frameClock gives each picture its time of capture. What is known is when the program got it, which is later by how
// busy the machine was; a camera itself is regular. So the clock runs at the camera's pace and follows what it sees
// slowly, and jumps where that is far off: the camera has changed its pace, or left pictures out.
type frameClock struct {
	interval time.Duration // what is known of the pace, 0 if nothing is
	last     time.Time
}

// stamp is the time of a picture that came at arrival. Stamps always grow.
func (c *frameClock) stamp(arrival time.Time) time.Time {
	if c.last.IsZero() || c.interval <= 0 {
		c.last = later(arrival, c.last)
		return c.last
	}
	steps := max(1, arrival.Sub(c.last).Round(c.interval)/c.interval)
	due := c.last.Add(steps * c.interval)
	off := arrival.Sub(due)
	if off.Abs() > c.interval/3 {
		c.last = later(arrival, c.last)
		return c.last
	}
	c.interval += off / steps / 32
	c.last = later(due.Add(off/8), c.last)
	return c.last
}

func later(t, last time.Time) time.Time {
	if least := last.Add(time.Millisecond); !last.IsZero() && t.Before(least) {
		return least
	}
	return t
}

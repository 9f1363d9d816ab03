package framerate

import (
	"math"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	var m Meter
	start := time.Unix(1000, 0)
	base := uint32(1<<32 - 50*3000)
	for i := range uint32(200) { // 30 a second, over the wrap of the timestamp, arriving in bursts
		m.Add(base+i*3000, 90000, start.Add(time.Duration(i/10)*333*time.Millisecond))
	}
	now := start.Add(19 * 333 * time.Millisecond)
	if r := m.Rate(now); math.Abs(r-30) > 0.01 {
		t.Errorf("rate is %v", r)
	}
	if r := m.Rate(now.Add(1100 * time.Millisecond)); r != 0 {
		t.Errorf("a second later it is %v", r)
	}
	m.Add(base, 90000, now) // a jump back is no rate
	if r := m.Rate(now); r != 0 {
		t.Errorf("after a jump it is %v", r)
	}
}

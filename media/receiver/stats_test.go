package receiver

import (
	"math"
	"testing"
	"time"
)

func TestRateMeter(t *testing.T) {
	var m rateMeter
	start := time.Unix(1000, 0)
	now := start
	for i := range 500 {
		now = start.Add(time.Duration(i) * 10 * time.Millisecond)
		m.add(now, 100)
	}
	if r := m.rate(now); math.Abs(r-10000) > 600 {
		t.Errorf("100 each 10 ms is %v a second", r)
	}
	if r := m.rate(now.Add(500 * time.Millisecond)); math.Abs(r-5000) > 600 {
		t.Errorf("half a second later it is %v", r)
	}
	if r := m.rate(now.Add(time.Hour)); r != 0 {
		t.Errorf("an hour later it is %v", r)
	}
	m = rateMeter{}
	m.add(start, 5)
	if r := m.rate(start); r != 0 {
		t.Errorf("at the first moment it is %v", r)
	}
}

// TestJitter: constant spacing has none, and alternating delays of d have an estimate that tends to
// d.
func TestJitter(t *testing.T) {
	var even, odd jitterMeter
	start := time.Unix(1000, 0)
	for i := range uint32(500) {
		at := start.Add(time.Duration(i) * 20 * time.Millisecond)
		even.add(i*960, 48000, at)
		odd.add(i*960, 48000, at.Add(time.Duration(i%2)*5*time.Millisecond))
	}
	if j := even.milliseconds(48000); j > 0.001 {
		t.Errorf("even packets have a jitter of %v ms", j)
	}
	if j := odd.milliseconds(48000); math.Abs(j-5) > 0.01 {
		t.Errorf("alternating packets have a jitter of %v ms", j)
	}
}

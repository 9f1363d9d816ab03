package probe

import "testing"

// TestLateness: timers are looked at, and no more once it has ended.
func TestLateness(t *testing.T) {
	l := MeasureTimerLag()
	if d := l.End(); d.Metric != "late.ms" || d.Count != len(l.late) || d.P50 > d.Max {
		t.Errorf("%+v of %v", d, l.late)
	}
}

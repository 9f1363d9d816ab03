package recorder

import (
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"
)

func TestMain(m *testing.M) { mediatest.Main(m) }

// TestTimeline: timestamps that wrap, stop, jump and begin anew make times that grow as arrivals do.
func TestTimeline(t *testing.T) {
	start := time.Unix(1000, 0)
	var line timeline
	at := func(ssrc, timestamp uint32, arrival time.Duration) time.Duration {
		return line.next(media.Frame{SSRC: ssrc, Timestamp: timestamp, ClockRate: 90000, Arrival: start.Add(arrival)}, start)
	}
	const second = time.Second
	for i, test := range []struct {
		ssrc, timestamp uint32
		arrival, want   time.Duration
	}{
		{1, 1<<32 - 90000, second, second},
		{1, 1<<32 - 45000, 1400 * time.Millisecond, 1500 * time.Millisecond}, // early, but at its time
		{1, 0, 2100 * time.Millisecond, 2 * second},                          // over the wrap
		{1, 0, 2100 * time.Millisecond, 2001 * time.Millisecond},             // does not stand still
		{1, 900000, 12 * second, 12 * second},                                // a pause
		{1, 123456789, 13 * second, 13 * second},                             // a jump that time does not have
		{1, 123456789 + 90000, 14 * second, 14 * second},
		{2, 5, 15 * second, 15 * second}, // another sender
		{2, 90005, 16 * second, 16 * second},
		{2, 0, 16*second + 1, 16*second + time.Millisecond}, // a step back
	} {
		if got := at(test.ssrc, test.timestamp, test.arrival); (got - test.want).Abs() > time.Microsecond {
			t.Errorf("frame %d is at %v, want %v", i, got, test.want)
		}
	}
	if d := media.TicksToDuration(media.DurationToTicks(36*time.Hour+time.Microsecond, 90000), 90000); (d - 36*time.Hour).Abs() > 12*time.Microsecond {
		t.Errorf("36 hours become %v", d)
	}
}

package road

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// arrival is what a link delivered, and how long after it was sent.
type arrival struct {
	number uint64
	after  time.Duration
}

// drive sends n packets in an instant each, apart by gap.
func drive(t *testing.T, w Weather, n int, gap time.Duration) (arrivals []arrival, counts Counts) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		sent := make([]time.Time, n)
		l := NewLink(w, func(b []byte) {
			number := binary.BigEndian.Uint64(b)
			arrivals = append(arrivals, arrival{number, time.Since(sent[number])})
		})
		defer l.Close()
		packet := make([]byte, 8)
		for i := range n {
			sent[i] = time.Now()
			binary.BigEndian.PutUint64(packet, uint64(i))
			l.Send(packet)
			time.Sleep(gap)
		}
		time.Sleep(time.Hour) // the bubble's
		counts = l.Counts()
	})
	return arrivals, counts
}

func TestGoodWeatherDoesNothing(t *testing.T) {
	arrivals, counts := drive(t, Weather{}, 1000, 0)
	if counts != (Counts{Sent: 1000, Delivered: 1000}) {
		t.Errorf("counts: %+v", counts)
	}
	for i, a := range arrivals {
		if a != (arrival{uint64(i), 0}) {
			t.Fatalf("the %dth is %+v", i, a)
		}
	}
}

func TestDelayKeepsTheOrder(t *testing.T) {
	arrivals, _ := drive(t, Weather{Delay: time.Second}, 500, time.Millisecond)
	for i, a := range arrivals {
		if a != (arrival{uint64(i), time.Second}) {
			t.Fatalf("the %dth is %+v", i, a)
		}
	}
}

func TestBadWeather(t *testing.T) {
	const n = 10000
	w := Weather{Delay: 200 * time.Millisecond, Jitter: 50 * time.Millisecond, Loss: .02, Reorder: .05, Duplicate: .1, Copies: 3, Seed: 7}
	arrivals, counts := drive(t, w, n, time.Millisecond)
	near := func(what string, got int, share float64) {
		t.Helper()
		if want := share * n; float64(got) < .7*want || float64(got) > 1.3*want {
			t.Errorf("%s: %d, want about %.0f", what, got, want)
		}
	}
	near("lost", counts.Lost, w.Loss)
	near("overtook", counts.Overtook, w.Reorder*(1-w.Loss))
	near("doubled", counts.Doubled, w.Duplicate*3*(1-w.Loss))
	if counts.Sent != n || counts.Delivered != n-counts.Lost+counts.Doubled || len(arrivals) != counts.Delivered {
		t.Errorf("%d arrivals, %+v", len(arrivals), counts)
	}
	inTime, early, late := 0, 0, 0
	for _, a := range arrivals {
		switch {
		case a.after == 0:
			inTime++
		case a.after < w.Delay-w.Jitter || a.after > w.Delay+w.Jitter:
			t.Fatalf("%+v", a)
		case a.after < w.Delay-w.Jitter/2:
			early++
		case a.after > w.Delay+w.Jitter/2:
			late++
		}
	}
	if inTime == 0 || early < n/10 || late < n/10 {
		t.Errorf("%d at once, %d early, %d late", inTime, early, late)
	}
	again, _ := drive(t, w, n, time.Millisecond)
	if !slices.Equal(arrivals, again) {
		t.Error("the same seed does other things")
	}
	w.Seed++
	if other, _ := drive(t, w, n, time.Millisecond); slices.Equal(arrivals, other) {
		t.Error("another seed does the same")
	}
}

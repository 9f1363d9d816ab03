package processors

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDecision(t *testing.T) {
	var d decision
	for i, test := range []struct {
		share   float64
		cCalled bool
		times   int
		one     bool
	}{
		{1.2, false, 3, false}, // the call begins
		{0.02, false, calmIntervals - 1, false},
		{0.4, false, 1, false}, // not calm in between
		{0.02, false, calmIntervals - 1, false},
		{0.02, false, 1, true},
		{0.4, false, 9, true}, // less than busy
		{0.9, false, 1, false},
		{0.4, false, 9, false},
		{0.1, false, calmIntervals, true},
		{0.1, true, 1, false}, // an encoder begins
		{0.1, true, 9, false},
		{0.1, false, calmIntervals, true},
	} {
		for range test.times {
			before := d.one
			if changed := d.next(test.share, test.cCalled); changed != (d.one != before) {
				t.Errorf("step %d: changed is %t", i, changed)
			}
		}
		if d.one != test.one {
			t.Errorf("step %d: one processor is %t, want %t", i, d.one, test.one)
		}
	}
}

// TestAdapt: one processor is used after the begin of a call, all of them under load and in the
// end.
func TestAdapt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, load := time.Now(), 10*time.Second
		var set []bool
		stop := adapt(time.NewTicker(interval), func() (usage, bool) { // load for 10 s after the first 10 s
			now := time.Since(begun)
			return usage{now/100 + min(max(0, now-load), load)*9/10, 7}, true
		}, func(one bool) { set = append(set, one) })
		time.Sleep(3 * load)
		if stop(); !slices.Equal(set, []bool{true, false, true, false}) {
			t.Errorf("one processor was used: %v", set)
		}
		stop()
	})
}

// TestUnknownUsage changes nothing where the CPU time is not known.
func TestUnknownUsage(t *testing.T) {
	adapt(time.NewTicker(time.Hour), func() (usage, bool) { return usage{}, false }, func(one bool) {
		t.Errorf("one processor: %t", one)
	})()
}

// TestUsed measures the CPU time of this process.
func TestUsed(t *testing.T) {
	before, ok := used()
	if !ok {
		t.Skipf("CPU time is not measured on %s", runtime.GOOS)
	}
	for begun := time.Now(); ; {
		now, _ := used()
		if now > before {
			return
		}
		if time.Since(begun) > time.Minute {
			t.Fatal("no CPU time in a minute of work")
		}
	}
}

// TestEnvironment leaves a process as it is whose user has chosen.
func TestEnvironment(t *testing.T) {
	t.Setenv("GOMAXPROCS", "2")
	before := runtime.GOMAXPROCS(0)
	Adapt()()
	if now := runtime.GOMAXPROCS(0); now != before {
		t.Errorf("%d processors, want %d as before", now, before)
	}
}

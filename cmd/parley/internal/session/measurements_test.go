package session

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/mediain"
	"parley/media/testsignal"
)

// measuredSession returns a connected session with a check, whose timers run until the test ends,
// and a function that returns how often it was measured.
func measuredSession(t *testing.T, check string) (c *Session, measured func() int) {
	t.Helper()
	parsed, err := event.ParseCheck(check, mediain.Keys())
	if err != nil {
		t.Fatal(err)
	}
	c = &Session{options: &Options{}, connected: make(chan struct{})}
	c.options.Checks = []event.Check{parsed}
	c.expect = event.NewExpectations(c.options.Checks, func(event.Check, bool, event.Value) {})
	c.Received = mediain.New(t.Context(), mediain.Options{Epoch: testsignal.NewEpoch(), Connected: c.IsConnected, Observe: c.expect.Observe, Measurements: mediain.MeasurementsOf(mediain.Measurements{}, c.options.Checks)})
	var count atomic.Int32
	c.Observe(Observer{Measurement: func() { count.Add(1) }})
	close(c.connected)
	c.Received.Changes.Wanted.Store(true)
	ctx, cancel := context.WithCancelCause(context.Background())
	t.Cleanup(func() { cancel(nil); synctest.Wait() })
	go c.runTimers(ctx, func(error) {})
	return c, func() int { synctest.Wait(); return int(count.Load()) }
}

// TestMeasurementsFollowChanges: a call in which nothing changes is not measured at all, a change
// is measured within MeasureInterval, and many changes together.
func TestMeasurementsFollowChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, measured := measuredSession(t, "text=never")
		time.Sleep(time.Hour)
		if n := measured(); n != 0 {
			t.Errorf("an idle call was measured %d times in an hour", n)
		}
		c.Received.Changes.Post()
		if n := measured(); n != 1 {
			t.Errorf("%d measurements at the first change, want 1", n)
		}
		for range 100 {
			c.Received.Changes.Post()
		}
		time.Sleep(mediain.MeasureInterval)
		if n := measured(); n != 2 {
			t.Errorf("%d measurements within %s of the next changes, want 2", n, mediain.MeasureInterval)
		}
		for range 1000 { // a packet each millisecond
			c.Received.Changes.Post()
			time.Sleep(time.Millisecond)
		}
		if n := measured(); n < 20 || n > 23 {
			t.Errorf("%d measurements in a second of packets, want 22", n)
		}
	})
}

// TestGapIsObservedWhileItGrows: an expectation of a time without media holds while nothing comes.
func TestGapIsObservedWhileItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, measured := measuredSession(t, "audio.gap>=1000")
		tone := make([]float32, 4800)
		for i := range tone {
			tone[i] = float32(math.Sin(float64(i) / 10))
		}
		at := time.Now()
		c.Received.Analyzer.WriteSamples(tone, at.Sub(c.Received.Epoch.Time()))
		measured()
		select {
		case <-c.expect.Held():
		case <-time.After(time.Minute):
			t.Fatal("the check does not hold")
		}
		if late := time.Since(at) - time.Second; late < 0 || late > 100*time.Millisecond {
			t.Errorf("the check holds %s after the gap has its length", late)
		}
	})
}

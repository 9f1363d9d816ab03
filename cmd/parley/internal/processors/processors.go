// Package processors lets Go code run on one processor while the process has little to do.
//
// A packet passes several goroutines. When one of them wakes up another, the scheduler of Go wakes
// up a second thread in case there is work for two, which finds none: with one call that is most of
// what the process does. On one processor, the second goroutine runs when the first one waits.
package processors

import (
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	// interval is the time between two measurements.
	interval = 500 * time.Millisecond
	// busy is the share of a core from which on all processors are used: with less, a packet seldom
	// waits for another one.
	busy = 0.5
	// calm is the share of a core below which one processor is used.
	calm = 0.3
	// calmIntervals is how many intervals in a row must be calm: calls begin with much work.
	calmIntervals = 6
)

// Adapt uses one processor whenever the process takes little CPU time, and all of them otherwise,
// until stop is called. It changes nothing if the environment sets GOMAXPROCS.
func Adapt() (stop func()) {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) == 1 {
		return func() {}
	}
	ticker := time.NewTicker(interval)
	return adapt(ticker, used, func(one bool) {
		if one {
			runtime.GOMAXPROCS(1)
		} else {
			runtime.SetDefaultGOMAXPROCS()
		}
	})
}

// adapt calls set at each change, and in the end. used returns the CPU time of the process so far;
// it reports false where that cannot be measured.
func adapt(ticker *time.Ticker, used func() (time.Duration, bool), set func(one bool)) (stop func()) {
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		defer ticker.Stop()
		var d decision
		before, ok := used()
		for begun := time.Now(); ok; {
			select {
			case <-done:
				if d.one {
					set(false)
				}
				return
			case <-ticker.C:
			}
			var now time.Duration
			now, ok = used()
			at := time.Now()
			if d.next(float64(now-before) / float64(at.Sub(begun))) {
				set(d.one)
			}
			before, begun = now, at
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		work.Wait()
	})
}

// decision is whether one processor is used.
type decision struct {
	one  bool
	calm int // intervals in a row
}

// next decides by the share of a core in the latest interval. It reports whether the decision has
// changed.
func (d *decision) next(share float64) (changed bool) {
	before := d.one
	if d.calm++; share >= calm {
		d.calm = 0
	}
	d.one = d.calm >= calmIntervals || d.one && share < busy
	return d.one != before
}

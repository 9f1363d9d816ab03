// Package processors lets Go code run on one processor while the process has little to do.
//
// A packet passes several goroutines. When one of them wakes up another, the scheduler of Go wakes
// up a second thread in case there is work for two, which finds none: with one call that is most of
// what the process does. On one processor, the second goroutine runs when the first one waits.
//
// A process that calls C has all processors: an encoder keeps its processor for the time of a
// frame, and packets would wait for that.
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

// usage is what the process has used so far.
type usage struct {
	cpu    time.Duration
	cCalls int64
}

// Adapt uses one processor whenever the process takes little CPU time and does not call C, and all
// of them otherwise, until stop is called. It changes nothing if the environment sets GOMAXPROCS.
func Adapt() (stop func()) {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) == 1 {
		return func() {}
	}
	ticker := time.NewTicker(interval)
	measure := func() (usage, bool) {
		cpu, ok := used()
		return usage{cpu, runtime.NumCgoCall()}, ok
	}
	return adapt(ticker, measure, func(one bool) {
		if one {
			runtime.GOMAXPROCS(1)
		} else {
			runtime.SetDefaultGOMAXPROCS()
		}
	})
}

// adapt calls set at each change, and in the end. measure reports false where it cannot measure.
func adapt(ticker *time.Ticker, measure func() (usage, bool), set func(one bool)) (stop func()) {
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		defer ticker.Stop()
		var d decision
		before, ok := measure()
		for begun := time.Now(); ok; {
			select {
			case <-done:
				if d.one {
					set(false)
				}
				return
			case <-ticker.C:
			}
			var now usage
			now, ok = measure()
			at := time.Now()
			if d.next(float64(now.cpu-before.cpu)/float64(at.Sub(begun)), now.cCalls > before.cCalls) {
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

// next decides by the share of a core in the latest interval, and by whether C was called. It
// reports whether the decision has changed.
func (d *decision) next(share float64, cCalled bool) (changed bool) {
	before := d.one
	if d.calm++; share >= calm || cCalled {
		d.calm = 0
	}
	d.one = d.calm >= calmIntervals || d.one && share < busy && !cCalled
	return d.one != before
}

package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"parley/cmd/parley/internal/scenario"
)

const (
	// lateEvery is how often it is looked how late this process gets to run: a packet of sound.
	lateEvery = 20 * time.Millisecond
	// tooLate, at the 95th percentile, is where what a load run sees is no more the other side's doing than this machine's.
	tooLate = 20 * time.Millisecond
	// maxLateness is how many looks are remembered, the first half an hour.
	maxLateness = 90_000
)

// lateness is how late timers of this process are, which says how busy the machine is.
type lateness struct {
	stop context.CancelFunc
	work sync.WaitGroup
	late []float64 // milliseconds, whole once work is done
}

// watchLateness looks until end.
func watchLateness() *lateness {
	ctx, stop := context.WithCancel(context.Background())
	l := &lateness{stop: stop}
	l.work.Go(func() {
		timer := time.NewTimer(lateEvery)
		defer timer.Stop()
		for len(l.late) < maxLateness {
			due := time.Now().Add(lateEvery)
			timer.Reset(lateEvery)
			select {
			case <-timer.C:
				l.late = append(l.late, milliseconds(max(0, time.Since(due))))
			case <-ctx.Done():
				return
			}
		}
	})
	return l
}

// end is what came of it.
func (l *lateness) end() scenario.Distribution {
	l.stop()
	l.work.Wait()
	slices.Sort(l.late)
	return scenario.DistributionOf("late.ms", l.late)
}

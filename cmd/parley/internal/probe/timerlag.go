package probe

import (
	"context"
	"slices"
	"sync"
	"time"

	"parley/cmd/parley/internal/scenario"
)

const (
	// timerLagInterval is how often the delay of this process is measured: the duration of an audio
	// packet.
	timerLagInterval = 20 * time.Millisecond
	// MaxTimerLag, at the 95th percentile, is where what a load run sees is no more the peer's
	// doing than this machine's.
	MaxTimerLag = 20 * time.Millisecond
	// maxTimerLags is how many looks are remembered, the first half an hour.
	maxTimerLags = 90_000
)

// timerLag is how late timers of this process are, which says how busy the machine is.
type TimerLag struct {
	stop context.CancelFunc
	work sync.WaitGroup
	late []float64 // milliseconds, whole once work is done
}

// MeasureTimerLag looks until end.
func MeasureTimerLag() *TimerLag {
	ctx, stop := context.WithCancel(context.Background())
	l := &TimerLag{stop: stop}
	l.work.Go(func() {
		timer := time.NewTimer(timerLagInterval)
		defer timer.Stop()
		for len(l.late) < maxTimerLags {
			due := time.Now().Add(timerLagInterval)
			timer.Reset(timerLagInterval)
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
func (l *TimerLag) End() scenario.Distribution {
	l.stop()
	l.work.Wait()
	slices.Sort(l.late)
	return scenario.DistributionOf("late.ms", l.late)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

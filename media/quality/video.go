package quality

import (
	"image"
	"math"
	"time"
)

const (
	// A frame number that is this much higher than the one before, or much lower, counts when the
	// next one continues it: the source has started again. Otherwise it was no test video.
	maxNumberJump = 10_000
	// maxReordering is how much lower or higher a frame number may be to continue another.
	maxReordering = 100
	// The frame rate is detected after this time. A usual rate within this tolerance counts: frame
	// numbers follow a schedule, only arrival times vary.
	minRateTime   = 2 * time.Second
	rateTolerance = 0.03
)

// usualRates are the frame rates that are detected, in frames/s.
func usualRates() []float64 {
	return []float64{1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 50, 60}
}

// videoAnalyzer measures video by its frame numbers.
type videoAnalyzer struct {
	o         AnalyzerOptions
	r         Report
	started   bool
	ours      bool // the latest frame was sent with our epoch
	highest   uint32
	candidate uint32 // a number that is not plausible yet
	doubtful  bool   // there is a candidate
	first     observation
	latest    time.Duration // of a new number
	freeze    time.Duration
	history   history
	fit       linearFit // of numbers over seconds, since first
	psnr      []float64
	meter     psnrMeter
}

// add takes a frame, with its number if that was read.
func (v *videoAnalyzer) add(img image.Image, number uint32, ok bool, at time.Duration) {
	v.r.Frames++
	if !ok || !v.plausible(number, at) {
		return
	}
	v.r.FrameIDs++
	v.ours = v.o.Epoch != nil && v.o.Epoch.Sent(number)
	switch {
	case !v.started:
		v.started, v.first = true, observation{number, at}
	case number == v.highest:
		v.r.Repeated++
		return
	case number < v.highest:
		v.r.OutOfOrder++
		return
	default:
		v.countMissing(number)
		v.freeze = max(v.freeze, at-v.latest)
	}
	v.highest, v.latest = number, at
	v.history.add(observation{number, at})
	v.fit.add((at - v.first.at).Seconds(), float64(number-v.first.number))
	v.comparePSNR(img, number)
}

// plausible reports whether a number can be the next one.
func (v *videoAnalyzer) plausible(number uint32, at time.Duration) bool {
	if !v.started || number <= v.highest && v.highest-number < maxReordering || number > v.highest && number-v.highest < maxNumberJump {
		v.doubtful = false
		return true
	}
	if v.doubtful && number > v.candidate && number-v.candidate < maxReordering { // the source has started again
		v.doubtful, v.highest = false, number-1
		v.first, v.history, v.fit = observation{number, at}, history{}, linearFit{}
		return true
	}
	v.candidate, v.doubtful = number, true
	return false
}

// countMissing counts the frames that are missing before number.
func (v *videoAnalyzer) countMissing(number uint32) {
	missing := uint64(0)
	for n := v.highest + 1; n < number; n++ {
		if !v.ours || v.o.Epoch.Sent(n) {
			missing++
		}
	}
	v.r.Missing += missing
	if missing > 0 {
		v.r.Gaps++
	}
}

// rate returns the frame rate in frames/s, 0 if it is not known.
func (v *videoAnalyzer) rate() float64 {
	if v.o.FrameRate > 0 && (v.ours || v.o.Epoch == nil) {
		return v.o.FrameRate
	}
	if v.latest-v.first.at < minRateTime {
		return 0
	}
	slope := v.fit.slope()
	for i, usual := range usualRates() {
		tolerance := rateTolerance
		if i > 0 { // at most half the distance to the next rate
			tolerance = min(tolerance, (usual/usualRates()[i-1]-1)/2)
		}
		if math.Abs(slope-usual) < tolerance*usual {
			return usual
		}
	}
	return 0
}

// comparePSNR compares a frame with the one that was sent.
func (v *videoAnalyzer) comparePSNR(img image.Image, number uint32) {
	rate := v.rate()
	if rate == 0 || v.r.FrameIDs%uint64(v.o.CompareEvery) != 0 || len(v.psnr) >= maxHistory { //nolint:gosec // positive
		return
	}
	width, height := v.o.Width, v.o.Height
	if !v.ours && v.o.Epoch != nil {
		width, height = 0, 0
	}
	if psnr, ok := v.meter.measure(img, number, rate, width, height); ok {
		v.psnr = append(v.psnr, psnr)
	}
}

func (v *videoAnalyzer) report(now time.Duration) Report {
	r := v.r
	if v.started {
		freeze := milliseconds(max(v.freeze, now-v.latest))
		r.MaxFreeze = &freeze
	}
	if p := percentiles(v.psnr); p != nil {
		r.PSNR = &p.Median
	}
	return r
}

// linearFit is a least-squares line through points. The zero value is ready.
type linearFit struct{ n, x, y, xx, xy float64 }

func (l *linearFit) add(x, y float64) {
	l.n, l.x, l.y, l.xx, l.xy = l.n+1, l.x+x, l.y+y, l.xx+x*x, l.xy+x*y
}

// slope returns the slope, 0 for less than two points.
func (l *linearFit) slope() float64 {
	if variance := l.n*l.xx - l.x*l.x; variance > 0 {
		return (l.n*l.xy - l.x*l.y) / variance
	}
	return 0
}

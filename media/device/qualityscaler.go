package device

import (
	"time"
)

// step is a reduction of what is sent.
type step struct {
	halved int // number of times that width and height are halved
	every  int // one of so many frames is sent
}

const maxStep = 5

// steps returns the steps, each with half of the pixels per second of the one before. The frame
// rate is halved first, and never below half.
func steps() [maxStep + 1]step {
	return [...]step{{0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 1}, {2, 2}}
}

const (
	// minBitsPerPixel is the bitrate per pixel below which artifacts prevail: 276 kbit/s for
	// 640x480 at 30 frames/s, about where libwebrtc scales down.
	minBitsPerPixel = 0.03
	// hysteresis prevents oscillation at a threshold of the bitrate.
	hysteresis = 1.3
	// fullUtilization is the share of the bitrate that an encoder uses when it needs all of it,
	// lowUtilization the share below which twice the pixels would fit.
	fullUtilization, lowUtilization = 0.7, 0.45
	// measureInterval is the interval of utilization, and upscaleIntervals the number of intervals
	// with low utilization before a step up.
	measureInterval  = time.Second
	upscaleIntervals = 3
	// overuseThreshold is the share of time above which the encoder is overused, underuseThreshold
	// the share below which twice the work would fit.
	overuseThreshold, underuseThreshold = 0.9, 0.35
	// loadWindow is the number of frames over which the load is averaged.
	loadWindow = 16
	// minScaledSide is the smallest width or height in pixels.
	minScaledSide = 90
)

// qualityScaler selects a step by the bitrate and by the load of the encoder, as the quality scaler
// and overuse detector of libwebrtc do.
type qualityScaler struct {
	network, cpu       int       // index of the step that each needs
	intervalStart      time.Time // of utilization
	bytes              int       // sent since then
	underusedIntervals int       // in a row
	load               float64   // share of time that encoding takes, averaged
	frames             int       // since the last step of cpu
}

// step returns the step for a frame of that size, captured at now. rate is the frame rate, bitrate
// in bit/s.
func (l *qualityScaler) step(width, height int, rate float64, bitrate int, now time.Time) step {
	lowest := 0
	for i, s := range steps() {
		if i == 0 || min(width, height)>>s.halved >= minScaledSide {
			lowest = i
		}
	}
	if l.intervalStart.IsZero() {
		l.intervalStart = now
	}
	if passed := now.Sub(l.intervalStart); passed >= measureInterval {
		used := float64(l.bytes*8) / passed.Seconds() / float64(max(1, bitrate))
		l.update(float64(width*height)*rate*minBitsPerPixel/float64(bitrate), used, lowest)
		l.intervalStart, l.bytes = now, 0
	}
	return steps()[min(max(l.network, l.cpu), lowest)]
}

// update changes the step of the network. needs is the ratio of the bitrate that all pixels need to
// the bitrate, used the utilization, and lowest the last step that the size allows.
func (l *qualityScaler) update(needs, used float64, lowest int) {
	here, above := needs/float64(uint(1)<<l.network), needs/float64(uint(1)<<max(0, l.network-1))
	switch {
	case here > 1 && used > fullUtilization && l.network < lowest:
		l.network++
		l.underusedIntervals = 0
	case l.network > 0 && (hysteresis*above <= 1 || used < lowUtilization):
		if l.underusedIntervals++; l.underusedIntervals >= upscaleIntervals {
			l.network--
			l.underusedIntervals = 0
		}
	default:
		l.underusedIntervals = 0
	}
}

// addFrame counts an encoded frame.
func (l *qualityScaler) addFrame(bytes int) { l.bytes += bytes }

// addEncodeTime changes the step of the CPU by the time that a frame took, and the interval between
// frames.
func (l *qualityScaler) addEncodeTime(d, interval time.Duration) {
	l.load += (d.Seconds()/interval.Seconds() - l.load) / loadWindow
	if l.frames++; l.frames < 2*loadWindow {
		return
	}
	switch {
	case l.load > overuseThreshold && l.cpu < maxStep:
		l.cpu++
	case l.load < underuseThreshold && l.cpu > 0 && l.frames >= 8*loadWindow:
		l.cpu--
	default:
		return
	}
	l.frames = 0
}

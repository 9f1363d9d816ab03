package device

import (
	"time"
)

// step is a way to send less than a device gives.
type step struct {
	halved int // times, of both sides
	every  int // how many pictures one is sent of
}

const maxStep = 5

// steps go down by half of the work each: first pictures are left out, which people mind less than a blurred face, but
// not to below half of the rate.
func steps() [maxStep + 1]step {
	return [...]step{{0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 1}, {2, 2}}
}

const (
	// minBitsPerPixel of a pixel, below which an encoder shows more of itself than of the picture: 276 kbit/s at 640 by
	// 480 and 30 pictures a second, about where libwebrtc steps down.
	minBitsPerPixel = 0.03
	// hysteresis keeps the scaler from going up and down where the bitrate is on a threshold.
	hysteresis = 1.3
	// filled is the share of its bitrate that an encoder uses when it needs all of it, and spare the one at which a
	// picture is so simple that twice as much of it would fit.
	fullUtilization, lowUtilization = 0.7, 0.45
	// measureInterval is how long the use of the bitrate is measured, and upscaleIntervals how many of these it must be possible to go
	// up.
	measureInterval  = time.Second
	upscaleIntervals = 3
	// busy is the share of its time that an encoder may take, restful the one below which twice the work fits.
	overuseThreshold, underuseThreshold = 0.9, 0.35
	// loadWindow is how many pictures an average of the encoder's time is over.
	loadWindow = 16
	// minScaledSide is the shortest side that it goes down to.
	minScaledSide = 90
)

// ladder decides how much of the pictures is sent, by what the network carries and the encoder manages.
type qualityScaler struct {
	network, machine   int       // the steps that each is at
	intervalStart      time.Time // when the measurement began
	bytes              int       // of pictures since then
	underusedIntervals int       // measurements in a row after which a higher step of the network would do
	load               float64   // share of its time that the encoder takes, averaged
	pictures           int       // since the machine's last step
}

// step is the one for a bitrate, at the moment of a picture.
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
		l.measured(float64(width*height)*rate*minBitsPerPixel/float64(bitrate), used, lowest)
		l.intervalStart, l.bytes = now, 0
	}
	return steps()[min(max(l.network, l.machine), lowest)]
}

// measured goes up or down by what has been used of the bitrate, of which all of the pictures should have needs times
// as much.
func (l *qualityScaler) measured(needs, used float64, lowest int) {
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

// sent tells the size of a picture in bytes.
func (l *qualityScaler) sent(bytes int) { l.bytes += bytes }

// took tells how long a picture took to encode, of the time there is for one.
func (l *qualityScaler) took(d, interval time.Duration) {
	l.load += (d.Seconds()/interval.Seconds() - l.load) / loadWindow
	if l.pictures++; l.pictures < 2*loadWindow {
		return
	}
	switch {
	case l.load > overuseThreshold && l.machine < maxStep:
		l.machine++
	case l.load < underuseThreshold && l.machine > 0 && l.pictures >= 8*loadWindow:
		l.machine--
	default:
		return
	}
	l.pictures = 0
}

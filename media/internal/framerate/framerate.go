// Package framerate measures the frame rate of video.
package framerate

import "time"

// Meter computes the frame rate from the RTP timestamps of the latest frames. Its zero value is
// ready. One goroutine uses it.
type Meter struct {
	times   [128]uint32
	count   int
	clock   uint32
	arrival time.Time // of the latest frame
}

// Add notes a frame with its RTP timestamp, the clock rate in Hz, and its time of arrival.
func (m *Meter) Add(timestamp, clockRate uint32, arrival time.Time) {
	if m.clock != clockRate {
		*m = Meter{clock: clockRate}
	}
	m.times[m.count%len(m.times)] = timestamp
	m.count++
	m.arrival = arrival
}

// Rate returns the frame rate of the last second in frames per second, 0 if no frame has arrived
// for a second.
func (m *Meter) Rate(now time.Time) float64 {
	if m.count < 2 || m.clock == 0 || now.Sub(m.arrival) > time.Second {
		return 0
	}
	latest := m.times[(m.count-1)%len(m.times)]
	frames, span := 0, uint32(0)
	for i := m.count - 2; i >= max(0, m.count-len(m.times)); i-- {
		before := latest - m.times[i%len(m.times)]
		if before > m.clock || before < span {
			break
		}
		frames, span = frames+1, before
	}
	if span == 0 {
		return 0
	}
	return float64(frames) * float64(m.clock) / float64(span)
}

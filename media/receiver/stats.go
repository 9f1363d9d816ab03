package receiver

import (
	"sync"
	"time"

	"parley/media/internal/framerate"
)

// Stats are the statistics of a Receiver.
type Stats struct {
	// Kind is "audio" or "video".
	Kind string
	// Codec is the name of the codec: VP8, VP9, H264, AV1, opus.
	Codec string
	// SSRC of the latest packet.
	SSRC uint32

	// Packets and Bytes (of payload) received, with retransmissions of lost packets and without
	// duplicates.
	Packets, Bytes uint64
	// Lost packets never arrived, or arrived when the jitter buffer had given them up.
	Lost uint64
	// Duplicates arrived before.
	Duplicates uint64
	// Discarded packets arrived when the jitter buffer had given them up. Lost includes them.
	Discarded uint64
	// BufferDelay is the total time of frames in the Receiver, from the arrival of their first
	// packet. Emitted counts these frames; for Opus and G.711 their samples at 48 kHz.
	BufferDelay time.Duration
	Emitted     uint64
	// Jitter of arrivals in milliseconds (RFC 3550 section 6.4.1).
	Jitter float64
	// Bitrate of the payload over the last second, in bit/s.
	Bitrate float64

	// Frames counts complete frames, and packets of audio. KeyFrames of them are key frames.
	Frames, KeyFrames uint64
	// Broken frames were dropped because a part was lost or invalid.
	Broken uint64
	// Width and Height of the latest key frame in pixels.
	Width, Height int
	// FrameRate in frames/s, by the RTP timestamps of the last second, which do not vary with the
	// network delay.
	FrameRate float64
	// FirstFrame is the arrival of the first complete frame, zero before.
	FirstFrame time.Time
	// KeyFrameRequests counts requests for key frames.
	KeyFrameRequests uint64
}

// statsCollector holds the Stats that a Receiver updates.
type statsCollector struct {
	mu     sync.Mutex // guards all fields
	stats  Stats
	frames framerate.Meter
	bits   rateMeter
}

// update changes the stats.
func (c *statsCollector) update(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

// snapshot returns the stats at now: rates fall when nothing arrives any more.
func (c *statsCollector) snapshot(now time.Time) Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.FrameRate = c.frames.Rate(now)
	s.Bitrate = c.bits.rate(now)
	return s
}

const (
	// A rateMeter sums values in slots, so that it takes the same memory at any rate.
	rateSlot  = 50 * time.Millisecond
	rateSlots = int64(time.Second / rateSlot)
	// minRateTime is the time before which a rate would be inaccurate.
	minRateTime = 200 * time.Millisecond
)

// rateMeter measures a rate over the last second. The zero value is ready.
type rateMeter struct {
	first  time.Time
	latest int64                  // number of the latest slot since first
	sums   [rateSlots + 1]float64 // one second of whole slots, and the current one
}

// add counts value at now.
func (m *rateMeter) add(now time.Time, value float64) {
	if m.first.IsZero() {
		m.first = now
	}
	m.advance(now)
	m.sums[m.latest%int64(len(m.sums))] += value
}

// advance empties the slots that have begun since the latest one.
func (m *rateMeter) advance(now time.Time) {
	number := int64(now.Sub(m.first) / rateSlot)
	m.latest = max(m.latest, number-int64(len(m.sums)))
	for m.latest < number {
		m.latest++
		m.sums[m.latest%int64(len(m.sums))] = 0
	}
}

// rate returns the rate of the last second in values per second, 0 before minRateTime.
func (m *rateMeter) rate(now time.Time) float64 {
	if m.first.IsZero() {
		return 0
	}
	m.advance(now)
	covered := now.Sub(m.first) - time.Duration(max(0, m.latest-rateSlots))*rateSlot
	if covered < minRateTime {
		return 0
	}
	var sum float64
	for _, s := range m.sums {
		sum += s
	}
	return sum / covered.Seconds()
}

// jitterMeter estimates the jitter of arrivals (RFC 3550 section 6.4.1 and appendix A.8).
type jitterMeter struct {
	started   bool
	timestamp uint32
	arrival   time.Time
	estimate  float64 // in units of the clock rate
}

func (m *jitterMeter) add(timestamp, clockRate uint32, now time.Time) {
	if m.started {
		transit := now.Sub(m.arrival).Seconds() * float64(clockRate)
		d := transit - float64(int32(timestamp-m.timestamp)) //nolint:gosec // wraps by design
		if d < 0 {
			d = -d
		}
		m.estimate += (d - m.estimate) / 16
	}
	m.started, m.timestamp, m.arrival = true, timestamp, now
}

func (m *jitterMeter) milliseconds(clockRate uint32) float64 {
	if clockRate == 0 {
		return 0
	}
	return m.estimate / float64(clockRate) * 1000
}

package bwe

import (
	"sync"
	"sync/atomic"
	"time"
)

// congestionWindow bounds the bytes in flight: sent and not yet acknowledged by feedback. When the
// capacity of a path drops, its queue fills and loses packets long before the estimate has come
// down; the window closes within a round trip. libwebrtc has the same
// (CongestionWindowPushbackExperiment).
type congestionWindow struct {
	full      atomic.Bool
	lastDelay atomic.Int64 // from sending the latest acknowledged packet to its feedback, in ns
	queuedRTX atomic.Int32 // retransmissions that wait for room

	mu          sync.Mutex // guards the following
	sent        [sentHistory]sentPacket
	total       uint64 // bytes ever sent
	acked       uint64 // bytes of them acknowledged
	feedbackAt  time.Time
	interval    time.Duration // between feedback messages, averaged
	rtt         time.Duration // the minimum, which grows slowly
	bucket      uint64        // bytes sent since bucketStart
	lastBucket  uint64        // bytes sent in the bucketTime before that
	bucketStart time.Time
}

type sentPacket struct {
	number uint16
	total  uint64 // bytes sent including it
	at     time.Time
}

const (
	sentHistory = 1 << 12 // packets
	bucketTime  = 500 * time.Millisecond
	// windowFactor is how much larger than the feedback delay the window is. The excess bounds the
	// queue.
	windowFactor = 1.5
	// minWindow covers libwebrtc's shortest feedback interval and the frame that is being sent.
	minWindow = 100 * time.Millisecond
	// maxInterval is libwebrtc's longest feedback interval. Longer gaps have another reason.
	maxInterval = 250 * time.Millisecond
	// minInFlight is the window of a track that sends next to nothing, in bytes.
	minInFlight = 8 << 10
	// rttGain is the weight of a round trip longer than the minimum.
	rttGain = 0.01
)

// pushback reports whether new frames should be dropped.
func (w *congestionWindow) pushback() bool { return w.full.Load() || w.queuedRTX.Load() > 0 }

// feedbackDelay returns the time from sending a packet to its feedback at present.
func (w *congestionWindow) feedbackDelay() time.Duration { return time.Duration(w.lastDelay.Load()) }

// onSent records a packet of size bytes by its transport-wide sequence number.
func (w *congestionWindow) onSent(number uint16, size int, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total += uint64(size)
	w.sent[number%sentHistory] = sentPacket{number, w.total, now}
	if now.Sub(w.bucketStart) >= bucketTime {
		w.lastBucket = w.bucket
		if now.Sub(w.bucketStart) >= 2*bucketTime {
			w.lastBucket = 0
		}
		w.bucket, w.bucketStart = 0, now
	}
	w.bucket += uint64(size)
	w.update(now)
}

// onFeedback records that all packets up to number are acknowledged.
func (w *congestionWindow) onFeedback(number uint16, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.sent[number%sentHistory]
	if p.number != number || p.total <= w.acked {
		return // too old, or never sent
	}
	w.acked = p.total
	delay := now.Sub(p.at)
	w.lastDelay.Store(int64(delay))
	if w.rtt == 0 || delay < w.rtt {
		w.rtt = delay
	} else {
		w.rtt += time.Duration(float64(delay-w.rtt) * rttGain)
	}
	if since := now.Sub(w.feedbackAt); !w.feedbackAt.IsZero() {
		w.interval += (min(since, maxInterval) - w.interval) / 8
	}
	w.feedbackAt = now
	w.update(now)
}

// update sets full. It stays false for a peer without feedback. mu is held.
func (w *congestionWindow) update(now time.Time) {
	if w.feedbackAt.IsZero() {
		return
	}
	rate := float64(w.bucket+w.lastBucket) / (now.Sub(w.bucketStart) + bucketTime).Seconds()
	span := max(minWindow, time.Duration(windowFactor*float64(w.interval+w.rtt)))
	w.full.Store(w.total-w.acked > max(minInFlight, uint64(rate*span.Seconds())))
}

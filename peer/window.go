package peer

import (
	"sync"
	"sync/atomic"
	"time"
)

// window bounds what is under way: sent, and not spoken of yet by a report of
// the other side. When a path carries less from one moment to the next, its queue
// is full, and loses packets, long before any estimate has come down; this tells
// within a round trip that no more should be sent. libwebrtc has the same
// (CongestionWindowPushbackExperiment).
type window struct {
	full  atomic.Bool
	took  atomic.Int64 // how long the latest report took to come after its packet, in ns
	owing atomic.Int32 // packets that are to be sent again, and wait until there is room

	mu       sync.Mutex // protects following
	sent     [windowMemory]sentPacket
	total    uint64 // bytes sent ever
	reported uint64 // of which the other side has spoken
	heard    time.Time
	interval time.Duration // between reports, averaged
	rtt      time.Duration // the shortest seen, which grows slowly
	bucket   uint64        // bytes sent since begun
	before   uint64        // bytes sent in the bucketTime before that
	begun    time.Time
}

type sentPacket struct {
	number uint16
	total  uint64 // bytes sent with it
	at     time.Time
}

const (
	windowMemory = 1 << 12 // packets
	bucketTime   = 500 * time.Millisecond
	// slack is how much longer than a report takes to come packets may be under
	// way: that much of a queue is filled at most.
	slack = 1.5
	// leastSpan is for reports as often as libwebrtc sends them at most, and the
	// picture that is being sent.
	leastSpan = 100 * time.Millisecond
	// mostInterval is the longest that libwebrtc leaves between reports. Who
	// reports less often is quiet for another reason.
	mostInterval = 250 * time.Millisecond
	// leastInFlight is the window of a track that sends next to nothing, in bytes.
	leastInFlight = 8 << 10
	// forgetting is the share of a longer round trip that counts.
	forgetting = 0.01
)

// crowded tells that a new picture had better wait.
func (w *window) crowded() bool { return w.full.Load() || w.owing.Load() > 0 }

// delay is how long packets take at present to be reported.
func (w *window) delay() time.Duration { return time.Duration(w.took.Load()) }

// send notes a packet of size bytes with its transport-wide number.
func (w *window) send(number uint16, size int, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total += uint64(size)
	w.sent[number%windowMemory] = sentPacket{number, w.total, now}
	if now.Sub(w.begun) >= bucketTime {
		w.before = w.bucket
		if now.Sub(w.begun) >= 2*bucketTime {
			w.before = 0
		}
		w.bucket, w.begun = 0, now
	}
	w.bucket += uint64(size)
	w.look(now)
}

// report notes that the other side has spoken of all up to a number.
func (w *window) report(number uint16, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.sent[number%windowMemory]
	if p.number != number || p.total <= w.reported {
		return // of long ago, or of what was never sent
	}
	w.reported = p.total
	took := now.Sub(p.at)
	w.took.Store(int64(took))
	if w.rtt == 0 || took < w.rtt {
		w.rtt = took
	} else {
		w.rtt += time.Duration(float64(took-w.rtt) * forgetting)
	}
	if since := now.Sub(w.heard); !w.heard.IsZero() {
		w.interval += (min(since, mostInterval) - w.interval) / 8
	}
	w.heard = now
	w.look(now)
}

// look tells if the window is full. It never is for who sends no reports.
func (w *window) look(now time.Time) {
	if w.heard.IsZero() {
		return
	}
	rate := float64(w.bucket+w.before) / (now.Sub(w.begun) + bucketTime).Seconds()
	span := max(leastSpan, time.Duration(slack*float64(w.interval+w.rtt)))
	w.full.Store(w.total-w.reported > max(leastInFlight, uint64(rate*span.Seconds())))
}

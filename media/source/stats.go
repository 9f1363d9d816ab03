package source

import (
	"sync"
	"time"

	"parley/media/internal/framerate"
)

// Stats is what a Receiver has measured so far.
type Stats struct {
	// Kind is "audio" or "video".
	Kind string
	// Codec is the name people know: VP8, VP9, H264, AV1, opus.
	Codec string
	// SSRC of the latest packet.
	SSRC uint32

	// Packets and Bytes (of payload) received, retransmissions of lost packets included, duplicates not.
	Packets, Bytes uint64
	// Lost packets: those that never came, or so late that nobody waited any more.
	Lost uint64
	// Duplicates are packets that came again.
	Duplicates uint64
	// Discarded packets came when nobody waited for them any more; they are among the lost ones.
	Discarded uint64
	// Waited is the time that frames have spent here, from the arrival of their first packet until they were handed on, all
	// together; Emitted are those frames, and for sound their samples at 48 kHz.
	Waited  time.Duration
	Emitted uint64
	// Samples of sound were decoded, at 48 kHz, and Energy is theirs: the squares of the samples, full scale being 1, times
	// their length in seconds.
	Samples uint64
	Energy  float64
	// Jitter between arrivals as in RFC 3550 section 6.4.1, in milliseconds.
	Jitter float64
	// Bitrate of the payload over the last second, in bit/s.
	Bitrate float64

	// Frames are complete frames: for audio, packets. KeyFrames of them stand on their own.
	Frames, KeyFrames uint64
	// Broken are frames dropped because a part was lost or made no sense.
	Broken uint64
	// Width and Height of the latest key frame, in pixels.
	Width, Height int
	// FrameRate over the last second of the sender's time, so that it does not swing with delays on the way.
	FrameRate float64
	// FirstFrame is the arrival of the first complete frame, zero before.
	FirstFrame time.Time
	// KeyFrameRequests were sent to the other end.
	KeyFrameRequests uint64

	// Tone is the frequency of the received audio in Hz, 0 if there is silence, or nothing that is one tone.
	Tone float64
	// Level is the loudness of the last second in dBFS: a test tone is -15, silence is -100.
	Level float64

	// Strips counts frames whose strip could be read, Strip is the latest frame number read (see testsignal.ReadFrameID). Only
	// key frames of VP8 are read, and only if ReceiverOptions.Strip asks for it.
	Strips uint64
	Strip  uint32
}

// board is the Stats that a Receiver writes on and anybody reads.
type board struct {
	mu     sync.Mutex // guards what follows
	stats  Stats
	frames framerate.Meter
	bits   window
	heard  time.Time // the latest audio that Tone and Level know
}

// update changes the stats.
func (b *board) update(change func(*Stats)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.stats)
}

// read is the stats at now: rates fall when nothing comes any more.
func (b *board) read(now time.Time) Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.FrameRate = b.frames.Rate(now)
	s.Bitrate = b.bits.rate(now)
	if now.Sub(b.heard) > time.Second {
		s.Tone, s.Level = 0, silence
	}
	return s
}

const (
	// A window counts in slots, so that it takes the same memory at any rate.
	windowSlot  = 50 * time.Millisecond
	windowSlots = int64(time.Second / windowSlot)
	// Below this time a rate would be a guess.
	windowLeast = 200 * time.Millisecond
)

// window sums up the last second. Its zero value is ready.
type window struct {
	first  time.Time
	latest int64                    // number of the latest slot since first
	sums   [windowSlots + 1]float64 // one second of whole slots, and the one that is filling
}

// add counts value at now.
func (w *window) add(now time.Time, value float64) {
	if w.first.IsZero() {
		w.first = now
	}
	w.advance(now)
	w.sums[w.latest%int64(len(w.sums))] += value
}

// advance empties the slots that have begun since the latest one.
func (w *window) advance(now time.Time) {
	number := int64(now.Sub(w.first) / windowSlot)
	w.latest = max(w.latest, number-int64(len(w.sums)))
	for w.latest < number {
		w.latest++
		w.sums[w.latest%int64(len(w.sums))] = 0
	}
}

// rate is what has been counted in the last second, a second; 0 in the first moments.
func (w *window) rate(now time.Time) float64 {
	if w.first.IsZero() {
		return 0
	}
	w.advance(now)
	covered := now.Sub(w.first) - time.Duration(max(0, w.latest-windowSlots))*windowSlot
	if covered < windowLeast {
		return 0
	}
	var sum float64
	for _, s := range w.sums {
		sum += s
	}
	return sum / covered.Seconds()
}

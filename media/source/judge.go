package source

import (
	"image"
	"math"
	"slices"
	"sync"
	"time"

	"parley/media/testsignal"
)

// JudgeOptions are the options of a Judge. The zero value works.
type JudgeOptions struct {
	// Epoch is that of the test sources whose pictures and sound may come back, see testsignal.NewEpoch: times are counted from
	// it then, and of what comes back latency is known, on one clock, and which pictures the source left out. The
	// default nil measures what can be measured without.
	Epoch *testsignal.Epoch

	// Rate is that of the test picture, in frames a second, of that of the Epoch if there is one. The default 0 finds it
	// out, if it is a usual one.
	Rate float64

	// Width and Height are those of the test picture as it was sent, likewise. The default is the size that it comes in.
	Width, Height int

	// PictureEvery compares each nth picture with the one that was sent. The default is all.
	PictureEvery int
}

// Quality is what a Judge has found out so far. What has not been measured is nil.
type Quality struct {
	// Pictures were decoded, and of Numbers of them the number was read, which counts from the first.
	Pictures, Numbers uint64
	// Missing numbers were sent, as far as that is known, and never came. Skips is how often numbers were left out,
	// Repeated how many pictures came again, and Backward how many came after later ones.
	Missing, Skips, Repeated, Backward uint64
	// Frozen is the longest time without a new picture, up to now, in milliseconds.
	Frozen *float64
	// PSNR is the likeness to the pictures that were sent, in dB, the median of all: their brightness, without the
	// time of day, which nobody else knows. Equal pictures have 100.
	PSNR *float64
	// PictureLatency and SoundLatency are from the moment that a picture, or a piece of sound, was due at the source to
	// that at which it had come, in milliseconds.
	PictureLatency, SoundLatency *Spread
	// Words of the code in the sound were read.
	Words uint64
	// Gap is the longest time without sound since the first, up to now, in milliseconds.
	Gap *float64
	// Sync is how much later the picture comes than the sound that belongs to it, in milliseconds.
	Sync *float64
}

// Spread is the median and the 95th percentile.
type Spread struct{ Median, P95 float64 }

// A Judge tells how well the sources "test" come through, by the numbers in their pictures and the code in their sound.
// Times given to it are since any moment, the same for both, or since the Epoch. Its methods may be called from any
// goroutine, each of them in the order of time.
type Judge struct {
	o JudgeOptions

	mu       sync.Mutex // guards what follows
	pictures pictureJudge
	sound    *soundJudge // nil before the first sound
	failed   bool        // there is no decoder of sound
}

// NewJudge makes a Judge.
func NewJudge(o JudgeOptions) *Judge {
	o.PictureEvery = max(1, o.PictureEvery)
	return &Judge{o: o, pictures: pictureJudge{o: o}}
}

// Picture takes a picture that had come at a time. It is not kept.
func (j *Judge) Picture(img image.Image, at time.Duration) {
	number, ok := testsignal.ReadFrameID(img)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pictures.take(img, number, ok, at)
}

// Sound takes a packet of Opus that came at a time, with its RTP timestamp or any other count of 48 kHz.
func (j *Judge) Sound(packet []byte, timestamp uint32, at time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sound == nil && !j.failed {
		var err error
		j.sound, err = newSoundJudge()
		j.failed = err != nil
	}
	if j.sound != nil {
		j.sound.take(packet, timestamp, at)
	}
}

// Quality is what has been found out up to a time.
func (j *Judge) Quality(now time.Duration) Quality {
	j.mu.Lock()
	defer j.mu.Unlock()
	q := j.pictures.quality(now)
	rate := j.pictures.rate()
	var pictures, sounds []float64
	if rate > 0 {
		for _, s := range j.pictures.seen.all() {
			pictures = append(pictures, milliseconds(s.at)-float64(s.number)/rate*1000)
		}
	}
	if j.sound != nil {
		j.sound.quality(&q, now)
		for _, s := range j.sound.words.all() {
			sounds = append(sounds, milliseconds(s.at)-float64(s.number)*milliseconds(testsignal.TimecodeInterval))
		}
	}
	if j.o.Epoch != nil {
		q.PictureLatency, q.SoundLatency = ours(pictures), ours(sounds)
	}
	if len(pictures) >= fewest && len(sounds) >= fewest {
		if sync := spread(pictures).Median - spread(sounds).Median; math.Abs(sync) < mostApart {
			q.Sync = &sync
		}
	}
	return q
}

const (
	mostLate  = 60_000 // ms; what is later was not sent by us
	mostApart = 10_000 // ms; picture and sound that are farther apart are of two sources
)

// ours is the spread of latencies, nil if they are those of sources with another epoch.
func ours(latencies []float64) *Spread {
	s := spread(latencies)
	if s != nil && (s.Median < -1000 || s.Median > mostLate) {
		return nil
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// fewest is how many measurements make a median.
const fewest = 5

// spread is nil where there is too little to tell.
func spread(values []float64) *Spread {
	if len(values) < fewest {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := func(p float64) float64 { return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)] }
	return &Spread{rank(.5), rank(.95)}
}

// mark is a number that was read, and when.
type mark struct {
	number uint32
	at     time.Duration
}

// marks are the latest. Its zero value is ready.
type marks struct {
	list []mark
	next int
}

// mostMarks is how many are kept: two minutes of 30 pictures a second.
const mostMarks = 1 << 12

func (m *marks) add(one mark) {
	if len(m.list) < mostMarks {
		m.list = append(m.list, one)
		return
	}
	m.list[m.next] = one
	m.next = (m.next + 1) % len(m.list)
}

func (m *marks) all() []mark { return m.list }

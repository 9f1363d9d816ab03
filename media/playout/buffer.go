package playout

import (
	"fmt"
	"math"
	"sync"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/thesyncim/gopus"
)

const (
	// minTargetDelay is how much sound a voice keeps ready, which is what packets may be late by; it grows by targetDelayStep
	// each time that was not enough, and shrinks again when it was too much for targetDelayDecay.
	minTargetDelay   = 60 * time.Millisecond
	maxTargetDelay   = 400 * time.Millisecond
	targetDelayStep  = 30 * time.Millisecond
	targetDelayDecay = 20 * time.Second
	// maxStored bounds what waits: what is older is left out.
	maxStored = time.Second
	// maxExcessDelay is how much more than the targetDelay may wait. A network that was stuck delivers all of it at once, and
	// to play that a little faster would take minutes.
	maxExcessDelay = 200 * time.Millisecond
	// maxRateAdjust is how much faster or slower it plays at most, which nobody hears, while there is more or less ready
	// than there should be: the clocks of two sound cards differ by less than a tenth of that.
	maxRateAdjust = 0.004
	// maxPLCPackets is how long a loss is papered over. After that it is silent (RFC 6716 section 4.4 leaves it to us).
	maxPLCPackets = 5
	// fadeSamples is the length of a fade where sound begins or stops, so that nothing clicks.
	fadeSamples = media.OpusClockRate / 200
)

// Options are the options of a Voice. The zero value works.
type Options struct {
	// Channels that Read gives: 1, or 2 (the default).
	Channels int
}

// A Voice turns the packets of one track into sound to play. It is a jitter buffer: WriteFrame puts in what has come,
// whenever it comes, and Read takes out as much as a sound card wants, at the pace of that card's own clock.
//
// A lost packet is taken from the copy that the next one may carry (RFC 6716 section 2.1.7), or else made up.
type Buffer struct {
	channels int
	decoder  *gopus.Decoder // of the goroutine of WriteFrame
	pcm      []float32
	expected uint32 // timestamp after the last packet
	started  bool
	size     int // samples of the last packet

	mu          sync.Mutex // guards what follows
	ring        []float32  // frames of all channels
	first       int        // frame in ring that is next
	count       int        // frames in ring
	targetDelay time.Duration
	calm        time.Duration // that has been played without running out
	playing     bool
	fade        int     // frames of the fade that are left
	place       float64 // between the next frame and the one after
	last        [2]float32
	stats       Stats
}

// Stats is what a Voice has done, in samples of one channel at 48 kHz.
type Stats struct {
	// Played are samples that came, Concealed those that were made up or taken from a copy.
	Played, Concealed uint64
	// Underruns is how often there was nothing to play although something should have been.
	Underruns uint64
	// Dropped are samples that were left out because too many waited.
	Dropped uint64
	// Delay is how much sound waits now.
	Delay time.Duration
}

// NewBuffer returns a Voice.
func NewBuffer(o Options) (*Buffer, error) {
	if o.Channels == 0 {
		o.Channels = 2
	}
	if o.Channels < 1 || o.Channels > 2 {
		return nil, &media.SpecError{Spec: fmt.Sprintf("%d channels", o.Channels), Reason: "sound is played in 1 or 2"}
	}
	decoder, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: media.OpusClockRate, Channels: o.Channels})
	if err != nil {
		return nil, fmt.Errorf("make an Opus decoder: %w", err)
	}
	return &Buffer{
		channels: o.Channels, decoder: decoder, pcm: make([]float32, o.Channels*media.OpusClockRate*120/1000),
		ring: make([]float32, o.Channels*int(maxStored.Seconds()*media.OpusClockRate)), targetDelay: minTargetDelay,
	}, nil
}

// WriteFrame implements media.FrameSink. Frames of another codec than Opus are no sound that it knows, and left out.
func (b *Buffer) WriteFrame(f media.Frame) error {
	samples := codec.OpusPacketSamples(f.Data)
	if samples == 0 {
		return nil
	}
	if b.started {
		b.concealLoss(f, int(int32(f.Timestamp-b.expected))) //nolint:gosec // wraps by design
	}
	b.store(b.decode(f.Data, false), false)
	b.expected, b.started, b.size = f.Timestamp+uint32(samples), true, samples //nolint:gosec // at most 5760
	return nil
}

// fill makes up for the samples that are missing before a packet. Without a loss the sender had nothing to say.
func (b *Buffer) concealLoss(f media.Frame, missing int) {
	if missing <= 0 || b.size == 0 || missing > int(maxStored.Seconds()*media.OpusClockRate) {
		return
	}
	lost := missing / b.size
	if !f.Gap {
		lost = min(lost, maxPLCPackets) // the decoder makes the background noise, which fades
	}
	for i := range min(lost, maxPLCPackets) {
		if i == lost-1 && f.Gap {
			b.store(b.decode(f.Data, true), true)
		} else {
			b.store(b.decode(nil, false), true)
		}
	}
	if rest := lost - maxPLCPackets; rest > 0 {
		clear(b.pcm[:b.size*b.channels])
		for range rest {
			b.store(b.pcm[:b.size*b.channels], true)
		}
	}
}

// decode returns the samples of a packet, of the copy that it has of the one before, or what the decoder makes up if it
// is nil. The packet comes from a stranger: a decoder that panics must not take the call with it.
func (b *Buffer) decode(packet []byte, before bool) (pcm []float32) {
	defer func() {
		if recover() != nil {
			pcm = nil
		}
	}()
	var n int
	var err error
	switch {
	case before:
		n, err = b.decoder.DecodeWithFEC(packet, b.pcm[:b.size*b.channels], true)
	case packet == nil:
		n, err = b.decoder.Decode(nil, b.pcm[:b.size*b.channels])
	default:
		n, err = b.decoder.Decode(packet, b.pcm)
	}
	if err != nil {
		return nil
	}
	return b.pcm[:n*b.channels]
}

// store puts samples behind those that wait, and leaves out the oldest of too many.
func (b *Buffer) store(pcm []float32, made bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := len(b.ring) / b.channels
	frames := len(pcm) / b.channels
	if made {
		b.stats.Concealed += uint64(frames)
	}
	if over := b.count + frames - size; over > 0 {
		b.drop(min(b.count, size/2)) // down to half, so that it happens seldom
	}
	for i := range frames {
		at := (b.first + b.count) % size * b.channels
		for c := range b.channels {
			b.ring[at+c] = clampSample(pcm[i*b.channels+c])
		}
		b.count++
	}
}

// drop leaves out the oldest frames.
func (b *Buffer) drop(frames int) {
	b.first, b.count = (b.first+frames)%(len(b.ring)/b.channels), b.count-frames
	b.stats.Dropped += uint64(frames) //nolint:gosec // not negative
	b.fade = fadeSamples
}

// clampSample keeps what a decoder makes of hostile packets away from ears.
func clampSample(s float32) float32 {
	if math.IsNaN(float64(s)) {
		return 0
	}
	return min(max(s, -1), 1)
}

// Mix adds the next samples to pcm, which has whole frames of all channels. It never waits longer than WriteFrame takes
// to store a packet. It tells if there was sound.
func (b *Buffer) Mix(pcm []float32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	frames := len(pcm) / b.channels
	ready := b.ready()
	if !b.playing {
		if ready < b.targetDelay || b.count == 0 {
			return false
		}
		b.playing, b.fade = true, fadeSamples
	}
	if ready > b.targetDelay+maxExcessDelay {
		b.drop(int((ready - b.targetDelay) * media.OpusClockRate / time.Second))
		ready = b.targetDelay
	}
	step := 1 + b.rateAdjust(ready)
	for i := range frames {
		if b.count < 2 {
			b.underrun(pcm[i*b.channels:])
			return true
		}
		b.frame(pcm[i*b.channels:][:b.channels])
		b.place += step
		for ; b.place >= 1 && b.count > 1; b.place-- {
			b.first, b.count = (b.first+1)%(len(b.ring)/b.channels), b.count-1
			b.stats.Played++
		}
	}
	b.relax(time.Duration(frames) * time.Second / media.OpusClockRate)
	return true
}

func (b *Buffer) ready() time.Duration {
	return time.Duration(b.count) * time.Second / media.OpusClockRate
}

// rateAdjust is how much faster to play, by how much more is ready than should be.
func (b *Buffer) rateAdjust(ready time.Duration) float64 {
	off := (ready - b.targetDelay).Seconds() / minTargetDelay.Seconds()
	return min(max(off*maxRateAdjust, -maxRateAdjust), maxRateAdjust)
}

// frame adds the sample at place, which lies between two.
func (b *Buffer) frame(pcm []float32) {
	size := len(b.ring) / b.channels
	from, to := b.first*b.channels, (b.first+1)%size*b.channels
	gain := float32(1)
	if b.fade > 0 {
		gain = 1 - float32(b.fade)/fadeSamples
		b.fade--
	}
	for c := range b.channels {
		s := b.ring[from+c] + (b.ring[to+c]-b.ring[from+c])*float32(b.place)
		b.last[c] = s * gain
		pcm[c] += b.last[c]
	}
}

// underrun lets the sound fade, and waits for more of it than before.
func (b *Buffer) underrun(pcm []float32) {
	for i := range min(fadeSamples, len(pcm)/b.channels) {
		for c := range b.channels {
			pcm[i*b.channels+c] += b.last[c] * (1 - float32(i+1)/fadeSamples)
		}
	}
	b.playing, b.place, b.last = false, 0, [2]float32{}
	b.stats.Underruns++
	b.calm = 0
	b.targetDelay = min(b.targetDelay+targetDelayStep, maxTargetDelay)
}

// relax lets the targetDelay shrink after a long time in which it was not needed.
func (b *Buffer) relax(played time.Duration) {
	if b.calm += played; b.calm >= targetDelayDecay {
		b.calm = 0
		b.targetDelay = max(b.targetDelay-targetDelayStep, minTargetDelay)
	}
}

// Stats is what has been done so far.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Delay = b.ready()
	return s
}

package source

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
	// leastCushion is how much sound a voice keeps ready, which is what packets may be late by; it grows by cushionStep
	// each time that was not enough, and shrinks again when it was too much for cushionCalm.
	leastCushion = 60 * time.Millisecond
	mostCushion  = 400 * time.Millisecond
	cushionStep  = 30 * time.Millisecond
	cushionCalm  = 20 * time.Second
	// mostStored bounds what waits: what is older is left out.
	mostStored = time.Second
	// mostExcess is how much more than the cushion may wait. A network that was stuck delivers all of it at once, and
	// to play that a little faster would take minutes.
	mostExcess = 200 * time.Millisecond
	// mostStretch is how much faster or slower it plays at most, which nobody hears, while there is more or less ready
	// than there should be: the clocks of two sound cards differ by less than a tenth of that.
	mostStretch = 0.004
	// mostConcealed is how long a loss is papered over. After that it is silent (RFC 6716 section 4.4 leaves it to us).
	mostConcealed = 5
	// fadeSamples is the length of a fade where sound begins or stops, so that nothing clicks.
	fadeSamples = media.OpusClockRate / 200
)

// VoiceOptions are the options of a Voice. The zero value works.
type VoiceOptions struct {
	// Channels that Read gives: 1, or 2 (the default).
	Channels int
}

// A Voice turns the packets of one track into sound to play. It is a jitter buffer: WriteFrame puts in what has come,
// whenever it comes, and Read takes out as much as a sound card wants, at the pace of that card's own clock.
//
// A lost packet is taken from the copy that the next one may carry (RFC 6716 section 2.1.7), or else made up.
type Voice struct {
	channels int
	decoder  *gopus.Decoder // of the goroutine of WriteFrame
	pcm      []float32
	expected uint32 // timestamp after the last packet
	started  bool
	size     int // samples of the last packet

	mu      sync.Mutex // guards what follows
	ring    []float32  // frames of all channels
	first   int        // frame in ring that is next
	count   int        // frames in ring
	cushion time.Duration
	calm    time.Duration // that has been played without running out
	playing bool
	fade    int     // frames of the fade that are left
	place   float64 // between the next frame and the one after
	last    [2]float32
	stats   VoiceStats
}

// VoiceStats is what a Voice has done, in samples of one channel at 48 kHz.
type VoiceStats struct {
	// Played are samples that came, Concealed those that were made up or taken from a copy.
	Played, Concealed uint64
	// Underruns is how often there was nothing to play although something should have been.
	Underruns uint64
	// Dropped are samples that were left out because too many waited.
	Dropped uint64
	// Delay is how much sound waits now.
	Delay time.Duration
}

// NewVoice returns a Voice.
func NewVoice(o VoiceOptions) (*Voice, error) {
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
	return &Voice{
		channels: o.Channels, decoder: decoder, pcm: make([]float32, o.Channels*media.OpusClockRate*120/1000),
		ring: make([]float32, o.Channels*int(mostStored.Seconds()*media.OpusClockRate)), cushion: leastCushion,
	}, nil
}

// WriteFrame implements media.FrameSink. Frames of another codec than Opus are no sound that it knows, and left out.
func (v *Voice) WriteFrame(f media.Frame) error {
	samples := codec.OpusPacketSamples(f.Data)
	if samples == 0 {
		return nil
	}
	if v.started {
		v.fill(f, int(int32(f.Timestamp-v.expected))) //nolint:gosec // wraps by design
	}
	v.store(v.decode(f.Data, false), false)
	v.expected, v.started, v.size = f.Timestamp+uint32(samples), true, samples //nolint:gosec // at most 5760
	return nil
}

// fill makes up for the samples that are missing before a packet. Without a loss the sender had nothing to say.
func (v *Voice) fill(f media.Frame, missing int) {
	if missing <= 0 || v.size == 0 || missing > int(mostStored.Seconds()*media.OpusClockRate) {
		return
	}
	lost := missing / v.size
	if !f.Gap {
		lost = min(lost, mostConcealed) // the decoder makes the background noise, which fades
	}
	for i := range min(lost, mostConcealed) {
		if i == lost-1 && f.Gap {
			v.store(v.decode(f.Data, true), true)
		} else {
			v.store(v.decode(nil, false), true)
		}
	}
	if rest := lost - mostConcealed; rest > 0 {
		clear(v.pcm[:v.size*v.channels])
		for range rest {
			v.store(v.pcm[:v.size*v.channels], true)
		}
	}
}

// decode returns the samples of a packet, of the copy that it has of the one before, or what the decoder makes up if it
// is nil. The packet comes from a stranger: a decoder that panics must not take the call with it.
func (v *Voice) decode(packet []byte, before bool) (pcm []float32) {
	defer func() {
		if recover() != nil {
			pcm = nil
		}
	}()
	var n int
	var err error
	switch {
	case before:
		n, err = v.decoder.DecodeWithFEC(packet, v.pcm[:v.size*v.channels], true)
	case packet == nil:
		n, err = v.decoder.Decode(nil, v.pcm[:v.size*v.channels])
	default:
		n, err = v.decoder.Decode(packet, v.pcm)
	}
	if err != nil {
		return nil
	}
	return v.pcm[:n*v.channels]
}

// store puts samples behind those that wait, and leaves out the oldest of too many.
func (v *Voice) store(pcm []float32, made bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	size := len(v.ring) / v.channels
	frames := len(pcm) / v.channels
	if made {
		v.stats.Concealed += uint64(frames)
	}
	if over := v.count + frames - size; over > 0 {
		v.drop(min(v.count, size/2)) // down to half, so that it happens seldom
	}
	for i := range frames {
		at := (v.first + v.count) % size * v.channels
		for c := range v.channels {
			v.ring[at+c] = tame(pcm[i*v.channels+c])
		}
		v.count++
	}
}

// drop leaves out the oldest frames.
func (v *Voice) drop(frames int) {
	v.first, v.count = (v.first+frames)%(len(v.ring)/v.channels), v.count-frames
	v.stats.Dropped += uint64(frames) //nolint:gosec // not negative
	v.fade = fadeSamples
}

// tame keeps what a decoder makes of hostile packets away from ears.
func tame(s float32) float32 {
	if math.IsNaN(float64(s)) {
		return 0
	}
	return min(max(s, -1), 1)
}

// Mix adds the next samples to pcm, which has whole frames of all channels. It never waits longer than WriteFrame takes
// to store a packet. It tells if there was sound.
func (v *Voice) Mix(pcm []float32) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	frames := len(pcm) / v.channels
	ready := v.ready()
	if !v.playing {
		if ready < v.cushion || v.count == 0 {
			return false
		}
		v.playing, v.fade = true, fadeSamples
	}
	if ready > v.cushion+mostExcess {
		v.drop(int((ready - v.cushion) * media.OpusClockRate / time.Second))
		ready = v.cushion
	}
	step := 1 + v.stretch(ready)
	for i := range frames {
		if v.count < 2 {
			v.runOut(pcm[i*v.channels:])
			return true
		}
		v.frame(pcm[i*v.channels:][:v.channels])
		v.place += step
		for ; v.place >= 1 && v.count > 1; v.place-- {
			v.first, v.count = (v.first+1)%(len(v.ring)/v.channels), v.count-1
			v.stats.Played++
		}
	}
	v.relax(time.Duration(frames) * time.Second / media.OpusClockRate)
	return true
}

func (v *Voice) ready() time.Duration {
	return time.Duration(v.count) * time.Second / media.OpusClockRate
}

// stretch is how much faster to play, by how much more is ready than should be.
func (v *Voice) stretch(ready time.Duration) float64 {
	off := (ready - v.cushion).Seconds() / leastCushion.Seconds()
	return min(max(off*mostStretch, -mostStretch), mostStretch)
}

// frame adds the sample at place, which lies between two.
func (v *Voice) frame(pcm []float32) {
	size := len(v.ring) / v.channels
	a, b := v.first*v.channels, (v.first+1)%size*v.channels
	gain := float32(1)
	if v.fade > 0 {
		gain = 1 - float32(v.fade)/fadeSamples
		v.fade--
	}
	for c := range v.channels {
		s := v.ring[a+c] + (v.ring[b+c]-v.ring[a+c])*float32(v.place)
		v.last[c] = s * gain
		pcm[c] += v.last[c]
	}
}

// runOut lets the sound fade, and waits for more of it than before.
func (v *Voice) runOut(pcm []float32) {
	for i := range min(fadeSamples, len(pcm)/v.channels) {
		for c := range v.channels {
			pcm[i*v.channels+c] += v.last[c] * (1 - float32(i+1)/fadeSamples)
		}
	}
	v.playing, v.place, v.last = false, 0, [2]float32{}
	v.stats.Underruns++
	v.calm = 0
	v.cushion = min(v.cushion+cushionStep, mostCushion)
}

// relax lets the cushion shrink after a long time in which it was not needed.
func (v *Voice) relax(played time.Duration) {
	if v.calm += played; v.calm >= cushionCalm {
		v.calm = 0
		v.cushion = max(v.cushion-cushionStep, leastCushion)
	}
}

// Stats is what has been done so far.
func (v *Voice) Stats() VoiceStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.stats
	s.Delay = v.ready()
	return s
}

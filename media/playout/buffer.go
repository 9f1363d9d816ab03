package playout

import (
	"fmt"
	"math"
	"sync"
	"time"

	"parley/media"
)

const (
	// The target delay is the time that a packet may be late by. It grows by targetDelayStep with
	// each underrun, and shrinks by as much after targetDelayDecay without one.
	minTargetDelay   = 60 * time.Millisecond
	maxTargetDelay   = 400 * time.Millisecond
	targetDelayStep  = 30 * time.Millisecond
	targetDelayDecay = 20 * time.Second
	// maxExcessDelay is the time by which the delay may exceed the target delay. What a network
	// that was stuck delivers at once is dropped beyond that, since playing a little faster would
	// take minutes.
	maxExcessDelay = 200 * time.Millisecond
	// maxStored is the capacity.
	maxStored = time.Second
	// maxRateAdjust is the share by which audio is played faster or slower to reach the target
	// delay. maxRateAdjust is inaudible, and ten times the difference between the clocks of two
	// audio devices.
	maxRateAdjust = 0.004
	// maxPLC limits the concealment of a loss, which is audibly artificial after that. Comfort
	// noise does not, and goes on until an encoder in DTX must have sent an update: libopus does so
	// after 400 ms.
	maxPLC          = 100 * time.Millisecond
	maxComfortNoise = time.Second
	// quietPeak is the peak of samples that are comfort noise: -40 dB.
	quietPeak = 0.01
	// maxDTXSize is the size in bytes of the largest packet without audio (RFC 7587 section 3.1.3).
	maxDTXSize = 2
	// fadeSamples is the length of the fades where audio begins and ends: 5 ms.
	fadeSamples = media.OpusClockRate / 200
)

// Options are the options of a Buffer. The zero value works.
type Options struct {
	// Channels is the number of channels that Mix adds to: 1, or 2 (the default).
	Channels int
	// Warn is called with a text for a user when the codec of the track cannot be played. The
	// default does nothing.
	Warn func(text string)
}

// A Buffer is the jitter buffer of one audio track. WriteFrame decodes packets as they arrive, and
// Mix takes samples at the pace of an audio device.
//
// The timestamps of the packets make a timeline of samples, which Mix plays with a delay. Where the
// timeline has no packet yet, Mix plays concealment. What it was for is known when the next packet
// arrives: a packet without a gap in the sequence numbers, but in the timestamps, follows silence
// (DTX, RFC 7587 section 3.1.3), and one whose time has passed is an underrun. Lost packets are
// recovered from the forward error correction of the next one (RFC 6716 section 2.1.7), or
// concealed.
type Buffer struct {
	channels int
	warn     func(text string)

	mu      sync.Mutex // guards what follows
	decoder packetDecoder
	codec   string // MIME type of decoder
	ssrc    uint32
	started bool   // next is valid
	next    uint32 // timestamp after the last packet
	size    int    // samples per channel of the last packet

	// ring holds interleaved samples. The last ones are concealment while ahead is not 0: the
	// number of samples that were played or stored beyond the last packet.
	ring         []float32
	first, count int // in samples per channel
	overlap      int // samples after these that the next ones are cross-faded with
	ahead        int
	concealed    int  // samples concealed since the last packet
	dtx, quiet   bool // the sender is silent, by its packets or by the samples

	playing     bool
	waited      time.Duration // since the first packet, before playing
	targetDelay time.Duration
	stable      time.Duration // played since the last underrun or decay
	fade        int           // samples of a fade-in that are left
	position    float64       // between the first sample and the next
	last        [2]float32    // played
	stats       Stats
}

// Stats is what a Buffer has done, in samples per channel at 48 kHz.
type Stats struct {
	// Played counts samples that were played, Concealed those that stand for lost or late packets,
	// ComfortNoise those that stand for silence of the sender. Dropped counts samples that were not
	// played to reduce the delay.
	Played, Concealed, ComfortNoise, Dropped uint64
	// Underruns counts packets that arrived after their time.
	Underruns uint64
	// Delay is the duration of the samples that are stored.
	Delay time.Duration
}

// NewBuffer returns a Buffer. The error is a *media.SpecError.
func NewBuffer(o Options) (*Buffer, error) {
	if o.Channels == 0 {
		o.Channels = 2
	}
	if o.Channels < 1 || o.Channels > 2 {
		return nil, &media.SpecError{Spec: fmt.Sprintf("%d channels", o.Channels), Reason: "want 1 or 2"}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return &Buffer{
		channels: o.Channels, warn: o.Warn, targetDelay: minTargetDelay,
		ring: make([]float32, o.Channels*int(maxStored.Seconds()*media.OpusClockRate)),
	}, nil
}

func toDuration(samples int) time.Duration {
	return time.Duration(samples) * time.Second / media.OpusClockRate
}

func toSamples(d time.Duration) int { return int(d * media.OpusClockRate / time.Second) }

// WriteFrame implements media.FrameSink. It ignores packets that are invalid or whose codec cannot
// be played.
func (b *Buffer) WriteFrame(f media.Frame) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.Codec != b.codec || f.SSRC != b.ssrc {
		if err := b.restart(f); err != nil {
			return err
		}
	}
	if b.decoder == nil || f.ClockRate == 0 || media.OpusClockRate%f.ClockRate != 0 {
		return nil
	}
	samples := b.decoder.duration(f.Data)
	if samples == 0 {
		return nil
	}
	ticks := media.OpusClockRate / f.ClockRate // samples per unit of the timestamp
	if b.started {
		// A difference of 2^31 or more is negative, and so in the past.
		b.align(f, int(int32(f.Timestamp-b.next))*int(ticks)) //nolint:gosec // wraps by design
	}
	b.ahead, b.concealed, b.size = 0, 0, samples
	if len(f.Data) <= maxDTXSize {
		b.dtx = true
	}
	if decoded := b.decoder.decode(f.Data); decoded != nil {
		b.store(decoded)
	} else {
		b.conceal(samples, &b.stats.Concealed)
		b.ahead = 0 // the packet has this place
	}
	b.next, b.started = f.Timestamp+uint32(samples)/ticks, true //nolint:gosec // at most 5760
	return nil
}

// restart begins with the stream of a frame: another codec or sender.
func (b *Buffer) restart(f media.Frame) error {
	b.started, b.playing, b.waited, b.ahead, b.dtx = false, false, 0, 0, false
	changed := f.Codec != b.codec
	b.codec, b.ssrc, b.decoder = f.Codec, f.SSRC, nil
	if CanPlay(f.Codec) {
		var err error
		b.decoder, err = newPacketDecoder(f.Codec, b.channels)
		return err
	}
	if changed {
		b.warn(media.CodecName(f.Codec) + " is not played: only opus, PCMU and PCMA are decoded")
	}
	return nil
}

// align prepares for a packet whose timestamp is so many samples after the end of the last packet.
func (b *Buffer) align(f media.Frame, missing int) {
	b.dtx = missing > 0 && !f.Gap
	if b.dtx {
		noise := uint64(min(b.ahead, missing)) //nolint:gosec // positive
		b.stats.Concealed, b.stats.ComfortNoise = b.stats.Concealed-min(noise, b.stats.Concealed), b.stats.ComfortNoise+noise
	}
	late := b.ahead - missing
	if late <= 0 {
		b.fillGap(f, -late)
		return
	}
	if b.ahead == 0 {
		return // the timestamps went back; there is nothing to make up for
	}
	unplayed := min(late, b.ahead, b.count)
	b.count, b.overlap = b.count-unplayed, min(unplayed, fadeSamples)
	if late -= unplayed; late > 0 && b.playing {
		b.underrun(toDuration(late))
	}
}

// fillGap stores what stands for the samples before a packet.
func (b *Buffer) fillGap(f media.Frame, samples int) {
	if stored := b.count + samples; stored > toSamples(b.targetDelay+maxExcessDelay) {
		samples = max(0, toSamples(b.targetDelay)-b.count) // the timestamps have jumped
	}
	if b.dtx {
		b.conceal(samples, &b.stats.ComfortNoise)
		return
	}
	recovered := 0
	if f.Gap {
		recovered = min(samples, b.size)
	}
	b.conceal(samples-recovered, &b.stats.Concealed)
	if recovered == 0 {
		return
	}
	if copies := b.decoder.recover(f.Data, b.size); len(copies) >= recovered*b.channels {
		b.store(copies[len(copies)-recovered*b.channels:])
		b.stats.Concealed += uint64(recovered) //nolint:gosec // positive
		return
	}
	b.conceal(recovered, &b.stats.Concealed)
}

// conceal stores so many samples of concealment, and silence beyond its limit.
func (b *Buffer) conceal(samples int, counter *uint64) {
	for samples > 0 {
		n := b.extend(min(samples, b.size), counter)
		if n == 0 {
			n = samples
			b.store(make([]float32, n*b.channels))
			*counter += uint64(n) //nolint:gosec // positive
		}
		samples -= n
	}
}

// extend stores up to so many samples of concealment and returns their number, 0 beyond the limit.
func (b *Buffer) extend(samples int, counter *uint64) int {
	limit := maxPLC
	if b.dtx || b.quiet {
		limit = maxComfortNoise
	}
	if samples = min(samples, toSamples(limit)-b.concealed); samples <= 0 || b.decoder == nil {
		return 0
	}
	pcm := b.decoder.conceal(samples)
	samples = len(pcm) / b.channels
	if samples == 0 {
		return 0
	}
	peak := float32(0)
	for _, s := range pcm {
		peak = max(peak, s, -s)
	}
	b.quiet = peak < quietPeak
	if b.concealed += samples; b.concealed >= toSamples(limit) || b.concealed >= toSamples(maxPLC) && !b.dtx && !b.quiet {
		for i := range pcm {
			pcm[i] *= 1 - float32(i/b.channels+1)/float32(samples)
		}
	}
	b.store(pcm)
	b.ahead += samples
	*counter += uint64(samples) //nolint:gosec // positive
	return samples
}

// store appends samples, and drops the oldest ones of too many.
func (b *Buffer) store(pcm []float32) {
	size := len(b.ring) / b.channels
	samples := len(pcm) / b.channels
	if b.count+samples > size {
		b.drop(min(b.count, size/2)) // half of them, so that it happens seldom
	}
	for i := range samples {
		at := (b.first + b.count) % size * b.channels
		share := float32(1)
		if i < b.overlap {
			share = float32(i+1) / float32(b.overlap+1)
		}
		for c := range b.channels {
			sample := clampSample(pcm[i*b.channels+c])
			if share < 1 {
				sample = b.ring[at+c] + (sample-b.ring[at+c])*share
			}
			b.ring[at+c] = sample
		}
		b.count++
	}
	b.overlap = 0
}

// drop removes the oldest samples.
func (b *Buffer) drop(samples int) {
	b.first, b.count = (b.first+samples)%(len(b.ring)/b.channels), b.count-samples
	b.stats.Dropped += uint64(samples) //nolint:gosec // not negative
	b.fade = fadeSamples
}

// clampSample limits what a decoder makes of hostile packets.
func clampSample(s float32) float32 {
	if math.IsNaN(float64(s)) {
		return 0
	}
	return min(max(s, -1), 1)
}

// underrun stops playing until the target delay is reached again, which grows if it would have
// prevented the underrun then.
func (b *Buffer) underrun(late time.Duration) {
	b.stats.Underruns++
	b.playing, b.waited, b.stable = false, 0, 0
	if late <= maxTargetDelay {
		b.targetDelay = min(b.targetDelay+targetDelayStep, maxTargetDelay)
	}
}

// Mix adds the next samples to pcm, which has interleaved samples of all channels. It may be called
// on the thread of an audio device: it waits for WriteFrame to decode a packet at most.
func (b *Buffer) Mix(pcm []float32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	samples := len(pcm) / b.channels
	if !b.playing && !b.startPlaying(samples) {
		b.fadeOut(pcm)
		return
	}
	if excess := toDuration(b.count) - b.targetDelay; excess > maxExcessDelay {
		b.drop(toSamples(excess))
	}
	step := 1 + b.rateAdjust()
	for i := range samples {
		for b.count < 2 && b.extend(b.size, &b.stats.Concealed) > 0 {
		}
		if b.count < 2 { // until the next packet
			b.ahead += samples - i
			b.first, b.count, b.position, b.fade = 0, 0, 0, fadeSamples
			b.fadeOut(pcm[i*b.channels:])
			break
		}
		b.mixSample(pcm[i*b.channels:][:b.channels])
		b.position += step
		for ; b.position >= 1 && b.count > 1; b.position-- {
			b.first, b.count = (b.first+1)%(len(b.ring)/b.channels), b.count-1
			b.stats.Played++
		}
	}
	if b.stable += toDuration(samples); b.stable >= targetDelayDecay {
		b.stable = 0
		b.targetDelay = max(b.targetDelay-targetDelayStep, minTargetDelay)
	}
}

// startPlaying reports whether to start: when the target delay is stored, or has passed since the
// first packet. samples are those of this call.
func (b *Buffer) startPlaying(samples int) bool {
	switch {
	case b.count == 0:
		return false
	case toDuration(b.count) < b.targetDelay && b.waited < b.targetDelay:
		b.waited += toDuration(samples)
		return false
	}
	b.playing, b.fade = true, fadeSamples
	return true
}

// rateAdjust returns the share by which to play faster, by how far the delay is from the target
// delay.
func (b *Buffer) rateAdjust() float64 {
	if b.ahead > 0 {
		return 0 // the delay shows when the next packet arrives
	}
	off := (toDuration(b.count) - b.targetDelay).Seconds() / minTargetDelay.Seconds()
	return min(max(off*maxRateAdjust, -maxRateAdjust), maxRateAdjust)
}

// mixSample adds the sample at position.
func (b *Buffer) mixSample(pcm []float32) {
	size := len(b.ring) / b.channels
	from, to := b.first*b.channels, (b.first+1)%size*b.channels
	gain := float32(1)
	if b.fade > 0 {
		gain = 1 - float32(b.fade)/fadeSamples
		b.fade--
	}
	for c := range b.channels {
		s := b.ring[from+c] + (b.ring[to+c]-b.ring[from+c])*float32(b.position)
		b.last[c] = s * gain
		pcm[c] += b.last[c]
	}
}

// fadeOut adds a fade from the last sample to silence.
func (b *Buffer) fadeOut(pcm []float32) {
	for i := range min(fadeSamples, len(pcm)/b.channels) {
		for c := range b.channels {
			pcm[i*b.channels+c] += b.last[c] * (1 - float32(i+1)/fadeSamples)
		}
	}
	b.last = [2]float32{}
}

// Stats returns what has been done so far.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Delay = toDuration(b.count)
	return s
}

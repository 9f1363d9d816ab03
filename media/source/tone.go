package source

import (
	"context"
	"fmt"
	"math"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

const (
	testTone = 440.0 // Hz
	minTone  = 20.0
	maxTone  = 20000.0

	toneLevel   = 0.25 // of full scale, -12 dBFS
	opusFrame   = 20 * time.Millisecond
	opusSamples = media.OpusClockRate / 50
	opusMaxSize = 1275 // bytes of one frame, RFC 6716 section 3.4
)

// tone is the sources "test" and "tone:HZ": a sine at -12 dBFS, as Opus in packets of 20 ms. "test" has a code in it.
type tone struct {
	*track
	hz       float64
	coded    bool
	origin   *Origin
	channels int
	encoder  *gopus.Encoder
	// silentUntil keeps the tone silent at first. Tests of lip sync hear by it when a moment of the source arrives.
	silentUntil time.Duration
}

func newTone(spec string, hz float64, o AudioOptions) (*tone, error) {
	channels := o.Channels
	if channels == 0 {
		channels = 1
	}
	if channels != 1 && channels != 2 {
		return nil, &media.SpecError{Spec: spec, Reason: fmt.Sprintf("a tone has 1 or 2 channels, not %d", o.Channels)}
	}
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{
		SampleRate: media.OpusClockRate, Channels: channels, Application: gopus.ApplicationAudio,
	})
	if err != nil {
		return nil, fmt.Errorf("make an Opus encoder: %w", err)
	}
	if o.Bitrate != 0 {
		if err := encoder.SetBitrate(o.Bitrate); err != nil {
			return nil, &media.SpecError{Spec: spec, Reason: fmt.Sprintf("the bitrate of Opus is 6000 to 510000, not %d", o.Bitrate)}
		}
	}
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: media.OpusClockRate, Channels: 2}
	return &tone{
		track:    newTrack(codec, o.StreamID, newPayloader(codec.MimeType)),
		hz:       hz,
		coded:    spec == "test",
		origin:   originOf(o.Origin),
		channels: channels,
		encoder:  encoder,
	}, nil
}

// Run sends a packet every 20 ms. A process that was stopped for long goes on where it would be now, and so does a source
// whose origin has passed.
func (t *tone) Run(ctx context.Context) error {
	pcm := make([]float32, opusSamples*t.channels)
	packet := make([]byte, opusMaxSize)
	p := newPacer()
	defer p.stop()
	p.start = t.origin.Time()
	for n := uint64(p.elapsed() / opusFrame); p.wait(ctx, time.Duration(n)*opusFrame); n++ {
		if late := p.elapsed() - time.Duration(n)*opusFrame; late > maxLag {
			n += uint64(late / opusFrame)
		}
		t.fill(pcm, n*opusSamples)
		size, err := t.encoder.Encode(pcm, packet)
		if err != nil {
			return fmt.Errorf("encode tone: %w", err)
		}
		t.write(packet[:size], n*opusSamples)
	}
	return nil
}

// fill computes the samples from number first on. The phase comes from the number of the sample, in whole turns taken
// off before the multiplication with 2π, so that it neither jumps at a packet nor loses precision in a long call.
func (t *tone) fill(pcm []float32, first uint64) {
	silent := uint64(t.silentUntil.Seconds() * media.OpusClockRate)
	for i := range len(pcm) / t.channels {
		sample := float32(0)
		if n := first + uint64(i); n >= silent {
			_, turn := math.Modf(float64(n) * (t.hz / media.OpusClockRate))
			sample = float32(toneLevel * math.Sin(2*math.Pi*turn))
			if t.coded {
				sample += float32(codeSample(n))
			}
		}
		for c := range t.channels {
			pcm[i*t.channels+c] = sample
		}
	}
}

// Close implements Source.
func (t *tone) Close() error { return nil }

package source

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"parley/media"
	"parley/media/localtrack"
	"parley/media/testsignal"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

const (
	opusFrame   = 20 * time.Millisecond
	opusSamples = media.OpusClockRate / 50
	opusMaxSize = 1275 // bytes of one frame, RFC 6716 section 3.4
)

// tone is the source "test" or "tone:HZ": a sine at -12 dBFS as Opus packets of 20 ms. "test"
// carries a timecode.
type tone struct {
	*localtrack.Track
	signal   testsignal.Tone
	epoch    *testsignal.Epoch
	channels int
	encoder  *gopus.Encoder
}

func newTone(spec string, hz float64, o AudioOptions) (*tone, error) {
	channels := o.Channels
	if channels == 0 {
		channels = 1
	}
	if channels != 1 && channels != 2 {
		return nil, &media.SpecError{Spec: spec, Reason: fmt.Sprintf("got %d channels, want 1 or 2", o.Channels)}
	}
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{
		SampleRate: media.OpusClockRate, Channels: channels, Application: gopus.ApplicationAudio,
	})
	if err != nil {
		return nil, fmt.Errorf("create Opus encoder: %w", err)
	}
	if o.Bitrate != 0 {
		if err := encoder.SetBitrate(o.Bitrate); err != nil {
			return nil, &media.SpecError{Spec: spec, Reason: fmt.Sprintf("got an Opus bitrate of %d bit/s, want 6000 to 510000", o.Bitrate)}
		}
	}
	return &tone{
		Track:    localtrack.New(localtrack.Capability(webrtc.MimeTypeOpus), o.StreamID, o.Logger),
		signal:   testsignal.Tone{Frequency: hz, Timecode: spec == "test"},
		epoch:    cmp.Or(o.Epoch, &testsignal.Epoch{}),
		channels: channels,
		encoder:  encoder,
	}, nil
}

// Run sends a packet every 20 ms. After a long interruption of the process, or if the epoch has
// passed, it continues at the present time.
func (t *tone) Run(ctx context.Context) error {
	pcm := make([]float32, opusSamples*t.channels)
	packet := make([]byte, opusMaxSize)
	p := newPacer()
	defer p.stop()
	p.start = t.epoch.Time()
	for n := uint64(p.elapsed() / opusFrame); p.wait(ctx, time.Duration(n)*opusFrame); n++ {
		if late := p.elapsed() - time.Duration(n)*opusFrame; late > maxFileLag {
			n += uint64(late / opusFrame)
		}
		t.signal.Fill(pcm, t.channels, n*opusSamples)
		size, err := t.encoder.Encode(pcm, packet)
		if err != nil {
			return fmt.Errorf("encode tone: %w", err)
		}
		t.Write(packet[:size], n*opusSamples)
	}
	return nil
}

// Close implements Source.
func (t *tone) Close() error { return nil }

package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/wav"
	"parley/media/pcm"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

// rawAudio encodes the samples of a WAV file to Opus, at 48 kHz and with one channel or two.
type rawAudio struct {
	wav       *wav.Reader
	mixer     *pcm.Mixer
	resampler *pcm.Resampler
	samples   []float32 // at 48 kHz, not encoded yet
	in, mixed []float32
	packet    []byte
	encoder   *gopus.Encoder
	at        uint64
	ended     bool
}

func openWAV(r *bufio.Reader, o fileOptions) (sampleReader, webrtc.RTPCodecCapability, error) {
	capability := codec.OpusCapability()
	reader, err := wav.NewReader(media.Input{Reader: r, ReaderAt: o.random, Size: o.size, Warn: o.warn})
	if err != nil {
		return nil, capability, err
	}
	a := &rawAudio{wav: reader, packet: make([]byte, opusMaxSize), mixer: pcm.NewMixer(reader.Channels(), reader.ChannelMask())}
	a.resampler = pcm.NewResampler(reader.SampleRate(), media.OpusClockRate, a.mixer.Channels())
	a.encoder, err = gopus.NewEncoder(gopus.EncoderConfig{
		SampleRate: media.OpusClockRate, Channels: a.mixer.Channels(), Application: gopus.ApplicationAudio,
	})
	if err != nil {
		return nil, capability, fmt.Errorf("make an Opus encoder: %w", err)
	}
	if o.bitrate != 0 {
		if err := a.encoder.SetBitrate(o.bitrate); err != nil {
			return nil, capability, &media.SpecError{Spec: fmt.Sprintf("audio bitrate %d", o.bitrate), Reason: "the bitrate of Opus is 6000 to 510000"}
		}
	}
	return a, capability, nil
}

// next encodes 20 ms, the last of which may be silence.
func (a *rawAudio) next() (sample, error) {
	need := opusSamples * a.mixer.Channels()
	for len(a.samples) < need && !a.ended {
		if err := a.read(); err != nil {
			return sample{}, err
		}
	}
	if len(a.samples) == 0 {
		return sample{}, io.EOF
	}
	for len(a.samples) < need {
		a.samples = append(a.samples, 0)
	}
	n, err := a.encoder.Encode(a.samples[:need], a.packet)
	if err != nil {
		return sample{}, fmt.Errorf("encode audio: %w", err)
	}
	a.samples = append(a.samples[:0], a.samples[need:]...)
	at := a.at
	a.at += opusSamples
	return sample{data: a.packet[:n], at: at, duration: opusSamples}, nil
}

// read reads up to 20 ms.
func (a *rawAudio) read() error {
	in, err := a.wav.Append(a.in[:0], max(1, a.wav.SampleRate()/50))
	a.in = in
	if errors.Is(err, io.EOF) {
		a.ended = true
		a.samples = a.resampler.Flush(a.samples)
		return nil
	}
	if err != nil {
		return err
	}
	a.mixed = a.mixer.Append(a.mixed[:0], in)
	a.samples = a.resampler.Append(a.samples, a.mixed)
	return nil
}

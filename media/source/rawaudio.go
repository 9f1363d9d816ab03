package source

import (
	"errors"
	"fmt"
	"io"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/wav"
	"parley/media/pcm"

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

// newRawAudio returns a demuxer with one track: the samples of a WAV stream as Opus. A bitrate of 0
// leaves it to the encoder.
func newRawAudio(in media.Input, bitrate int) (*rawAudio, error) {
	reader, err := wav.NewReader(in)
	if err != nil {
		return nil, err
	}
	a := &rawAudio{wav: reader, packet: make([]byte, opusMaxSize), mixer: pcm.NewMixer(reader.Channels(), reader.ChannelMask())}
	a.resampler = pcm.NewResampler(reader.SampleRate(), media.OpusClockRate, a.mixer.Channels())
	a.encoder, err = gopus.NewEncoder(gopus.EncoderConfig{
		SampleRate: media.OpusClockRate, Channels: a.mixer.Channels(), Application: gopus.ApplicationAudio,
	})
	if err != nil {
		return nil, fmt.Errorf("create Opus encoder: %w", err)
	}
	if bitrate != 0 {
		if err := a.encoder.SetBitrate(bitrate); err != nil {
			return nil, &media.SpecError{Spec: fmt.Sprintf("audio bitrate %d", bitrate), Reason: "want an Opus bitrate of 6000 to 510000 bit/s"}
		}
	}
	return a, nil
}

// Tracks implements media.Demuxer.
func (a *rawAudio) Tracks() []media.Track { return []media.Track{{Codec: codec.OpusCapability()}} }

// Select implements media.Demuxer.
func (a *rawAudio) Select(...int) error { return nil }

// Next implements media.Demuxer. It encodes 20 ms; the last packet is padded with silence.
func (a *rawAudio) Next() (media.Sample, error) {
	need := opusSamples * a.mixer.Channels()
	for len(a.samples) < need && !a.ended {
		if err := a.read(); err != nil {
			return media.Sample{}, err
		}
	}
	if len(a.samples) == 0 {
		return media.Sample{}, io.EOF
	}
	for len(a.samples) < need {
		a.samples = append(a.samples, 0)
	}
	n, err := a.encoder.Encode(a.samples[:need], a.packet)
	if err != nil {
		return media.Sample{}, fmt.Errorf("encode audio: %w", err)
	}
	a.samples = append(a.samples[:0], a.samples[need:]...)
	at := a.at
	a.at += opusSamples
	return media.Sample{Data: a.packet[:n], Time: at, Duration: opusSamples}, nil
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

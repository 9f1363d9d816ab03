package playout

import (
	"fmt"

	"parley/media"
	"parley/media/codec"
	"parley/media/pcm"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

// maxPacketSamples is the number of samples of the longest packet: 120 ms.
const maxPacketSamples = media.OpusClockRate * 120 / 1000

// CanPlay reports whether a Buffer decodes a codec, by its MIME type.
func CanPlay(mime string) bool {
	switch mime {
	case webrtc.MimeTypeOpus, webrtc.MimeTypePCMU, webrtc.MimeTypePCMA:
		return true
	}
	return false
}

// packetDecoder decodes the packets of one codec to interleaved samples at 48 kHz. What its methods
// return is valid until the next call.
type packetDecoder interface {
	// duration returns the number of samples per channel of a packet, 0 for one that is invalid.
	duration(packet []byte) int
	// decode returns the samples of a packet, nil for one that cannot be decoded.
	decode(packet []byte) []float32
	// recover returns the samples before a packet, as many as it holds itself, by its forward error
	// correction, or else by concealment. It returns nil for a codec without forward error
	// correction.
	recover(packet []byte, frames int) []float32
	// conceal returns samples that continue those before.
	conceal(frames int) []float32
}

// newPacketDecoder returns a decoder for a codec that CanPlay.
func newPacketDecoder(mime string, channels int) (packetDecoder, error) {
	if mime != webrtc.MimeTypeOpus {
		value := codec.DecodeMuLaw
		if mime == webrtc.MimeTypePCMA {
			value = codec.DecodeALaw
		}
		return &g711Decoder{value: value, channels: channels, resampler: pcm.NewResampler(g711ClockRate, media.OpusClockRate, 1)}, nil
	}
	decoder, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: media.OpusClockRate, Channels: channels})
	if err != nil {
		return nil, fmt.Errorf("create Opus decoder: %w", err)
	}
	return &opusDecoder{decoder: decoder, channels: channels, out: make([]float32, channels*maxPacketSamples)}, nil
}

type opusDecoder struct {
	decoder  *gopus.Decoder
	channels int
	out      []float32
}

func (d *opusDecoder) duration(packet []byte) int { return codec.OpusPacketSamples(packet) }

func (d *opusDecoder) decode(packet []byte) []float32 {
	return d.run(func() (int, error) { return d.decoder.Decode(packet, d.out) })
}

// recover returns the LBRR frame of a packet (RFC 6716 section 2.1.7).
func (d *opusDecoder) recover(packet []byte, frames int) []float32 {
	return d.run(func() (int, error) { return d.decoder.DecodeWithFEC(packet, d.out[:frames*d.channels], true) })
}

func (d *opusDecoder) conceal(frames int) []float32 {
	const quantum = media.OpusClockRate / 400 // frames are a multiple of 2.5 ms
	whole := (frames + quantum - 1) / quantum * quantum
	samples := d.run(func() (int, error) { return d.decoder.Decode(nil, d.out[:whole*d.channels]) })
	return samples[:min(len(samples), frames*d.channels)]
}

// run returns the samples that decode puts into d.out. A packet comes from the network: a decoder
// that panics must not end the call.
func (d *opusDecoder) run(decode func() (frames int, err error)) (samples []float32) {
	defer func() {
		if recover() != nil {
			samples = nil
		}
	}()
	frames, err := decode()
	if err != nil {
		return nil
	}
	return d.out[:frames*d.channels]
}

const g711ClockRate = 8000 // RFC 3551 section 4.5.14

type g711Decoder struct {
	value     func(byte) float32
	channels  int
	resampler *pcm.Resampler
	narrow    []float32 // at 8 kHz
	out       []float32
}

func (d *g711Decoder) duration(packet []byte) int {
	if samples := len(packet) * (media.OpusClockRate / g711ClockRate); samples <= maxPacketSamples {
		return samples
	}
	return 0
}

func (d *g711Decoder) decode(packet []byte) []float32 {
	d.narrow = d.narrow[:0]
	for _, b := range packet {
		d.narrow = append(d.narrow, d.value(b))
	}
	return d.convert()
}

// conceal returns silence, after the end of the samples before.
func (d *g711Decoder) conceal(frames int) []float32 {
	const ratio = media.OpusClockRate / g711ClockRate
	d.narrow = append(d.narrow[:0], make([]float32, (frames+ratio-1)/ratio)...)
	samples := d.convert()
	return samples[:min(len(samples), frames*d.channels)]
}

// convert resamples the samples and copies them to all channels.
func (d *g711Decoder) convert() []float32 {
	d.out = d.resampler.Append(d.out[:0], d.narrow)
	frames := len(d.out)
	for range (d.channels - 1) * frames {
		d.out = append(d.out, 0)
	}
	for i := frames - 1; i >= 0 && d.channels > 1; i-- {
		for c := range d.channels {
			d.out[i*d.channels+c] = d.out[i]
		}
	}
	return d.out
}

func (d *g711Decoder) recover([]byte, int) []float32 { return nil }

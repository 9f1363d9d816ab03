package quality

import (
	"fmt"

	"parley/media"
	"parley/media/codec"
	"parley/media/pcm"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

const (
	g711ClockRate   = 8000
	maxG711Packet   = 2000 // bytes, 250 ms
	maxOpusDuration = media.OpusClockRate * 120 / 1000
)

// audioDecoder decodes the packets of one track to mono samples at 48 kHz.
type audioDecoder struct {
	mime      string
	clockRate uint32
	opus      *gopus.Decoder
	resampler *pcm.Resampler // of G.711
	narrow    []float32      // samples of G.711 at 8 kHz
	samples   []float32
}

// newAudioDecoder returns an error for a codec other than Opus and G.711.
func newAudioDecoder(mime string) (*audioDecoder, error) {
	switch mime {
	case webrtc.MimeTypeOpus:
		decoder, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: media.OpusClockRate, Channels: 1})
		if err != nil {
			return nil, fmt.Errorf("create Opus decoder: %w", err)
		}
		return &audioDecoder{
			mime: mime, clockRate: media.OpusClockRate, opus: decoder, samples: make([]float32, maxOpusDuration),
		}, nil
	case webrtc.MimeTypePCMU, webrtc.MimeTypePCMA:
		return &audioDecoder{
			mime: mime, clockRate: g711ClockRate, resampler: pcm.NewResampler(g711ClockRate, media.OpusClockRate, 1),
		}, nil
	}
	return nil, fmt.Errorf("%s is not decoded", media.CodecName(mime))
}

// duration returns the number of samples of a packet in units of the clock rate, 0 for an invalid
// packet.
func (d *audioDecoder) duration(packet []byte) int {
	if d.opus != nil {
		return codec.OpusPacketSamples(packet)
	}
	if len(packet) > maxG711Packet {
		return 0
	}
	return len(packet)
}

// scale returns the number of 48 kHz samples in a tick of the clock rate.
func (d *audioDecoder) scale() int { return int(media.OpusClockRate / d.clockRate) }

// decode returns the samples of a packet whose duration is not 0, valid until the next call. The
// packet comes from the network, so a panic of the decoder must not end the process.
func (d *audioDecoder) decode(packet []byte) (samples []float32) {
	defer func() {
		if recover() != nil {
			samples = nil
		}
	}()
	if d.opus != nil {
		n, err := d.opus.Decode(packet, d.samples)
		if err != nil {
			return nil
		}
		return d.samples[:n]
	}
	expand := codec.DecodeMuLaw
	if d.mime == webrtc.MimeTypePCMA {
		expand = codec.DecodeALaw
	}
	d.narrow = d.narrow[:0]
	for _, b := range packet {
		d.narrow = append(d.narrow, expand(b))
	}
	d.samples = d.resampler.Append(d.samples[:0], d.narrow)
	return d.samples
}

package recorder

import (
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

const (
	g711Rate      = 8000          // Hz (RFC 3551 section 4.5.14)
	g711Frame     = g711Rate / 50 // samples of one Opus frame of 20 ms
	maxG711Packet = g711Rate      // bytes: longer packets are dropped
	maxOpusFrame  = 1275          // bytes (RFC 6716 section 3.2.1)
	opusPerG711   = media.OpusClockRate / g711Rate
)

// isG711 reports whether mime is µ-law or A-law.
func isG711(mime string) bool { return mime == webrtc.MimeTypePCMU || mime == webrtc.MimeTypePCMA }

// transcoder encodes G.711 to Opus, for containers that do not hold G.711.
type transcoder struct {
	encoder *gopus.Encoder
	pcm     []float32   // less than one frame, between packets
	first   media.Frame // describes the first sample of pcm
	packet  [maxOpusFrame]byte
}

func newTranscoder() (*transcoder, error) {
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: g711Rate, Channels: 1, Application: gopus.ApplicationVoIP})
	if err != nil {
		return nil, err
	}
	return &transcoder{encoder: encoder}, encoder.SetFrameSize(g711Frame)
}

// add decodes a packet of G.711 and passes each complete frame of Opus to write. Samples of an
// incomplete frame wait for the next packet; if that does not follow at once, silence completes the
// frame.
func (t *transcoder) add(f media.Frame, write func(media.Frame) error) error {
	if len(f.Data) > maxG711Packet {
		return nil
	}
	next := t.first.Timestamp + uint32(len(t.pcm)) //nolint:gosec // less than one frame
	if len(t.pcm) > 0 && (f.SSRC != t.first.SSRC || f.Timestamp != next) {
		if err := t.flush(write); err != nil {
			return err
		}
	}
	decode := codec.DecodeMuLaw
	if f.Codec == webrtc.MimeTypePCMA {
		decode = codec.DecodeALaw
	}
	for i, b := range f.Data {
		if len(t.pcm) == 0 {
			t.first = f
			t.first.Data = nil
			t.first.Timestamp += uint32(i) //nolint:gosec // less than maxG711Packet
			t.first.Gap = f.Gap && i == 0
			if !f.Captured.IsZero() {
				t.first.Captured = f.Captured.Add(time.Duration(i) * time.Second / g711Rate)
			}
		}
		if t.pcm = append(t.pcm, decode(b)); len(t.pcm) == g711Frame {
			if err := t.encode(write); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush completes a frame with silence.
func (t *transcoder) flush(write func(media.Frame) error) error {
	if len(t.pcm) == 0 {
		return nil
	}
	t.pcm = append(t.pcm, make([]float32, g711Frame-len(t.pcm))...)
	return t.encode(write)
}

func (t *transcoder) encode(write func(media.Frame) error) error {
	n, err := t.encoder.Encode(t.pcm, t.packet[:])
	t.pcm = t.pcm[:0]
	if err != nil {
		return err
	}
	f := t.first
	f.Codec, f.ClockRate, f.Data = webrtc.MimeTypeOpus, media.OpusClockRate, t.packet[:n]
	// Opus comes out of its decoder later, by the lookahead of the encoder.
	f.Timestamp = (f.Timestamp - uint32(t.encoder.Lookahead())) * opusPerG711 //nolint:gosec // small; wraps with the timestamp
	return write(f)
}

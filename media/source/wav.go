package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus"
)

// Formats of samples in a WAV file.
const (
	wavPCM        = 1
	wavFloat      = 3
	wavALaw       = 6
	wavMuLaw      = 7
	wavExtensible = 0xFFFE // the format proper is in the first bytes of a GUID

	wavMaxRate     = 384_000
	wavMaxChannels = 32
)

// wavReader reads the samples of a WAV file and encodes them to Opus, at 48 kHz and with one channel or two.
type wavReader struct {
	r        *bufio.Reader
	format   uint16
	rate     int
	channels int
	bytes    int    // of one sample of one channel
	left     uint64 // bytes of samples
	endless  bool   // the size was not known when the file was begun: up to its end

	out      int // channels
	resample *resampler
	pcm      []float32 // at 48 kHz, not encoded yet
	block    []byte
	packet   []byte
	encoder  *gopus.Encoder
	at       uint64
	ended    bool
}

func openWAV(r *bufio.Reader, o fileOptions) (sampleReader, webrtc.RTPCodecCapability, error) {
	capability := opusCodec()
	w := &wavReader{r: r}
	if err := w.readHeader(); err != nil {
		return nil, capability, err
	}
	if w.out = w.channels; w.channels > 2 {
		w.out = 1
	}
	w.resample = newResampler(w.rate, media.OpusClockRate, w.out)
	w.block, w.packet = make([]byte, w.bytes*w.channels*max(1, w.rate/50)), make([]byte, opusMaxSize)
	var err error
	w.encoder, err = gopus.NewEncoder(gopus.EncoderConfig{
		SampleRate: media.OpusClockRate, Channels: w.out, Application: gopus.ApplicationAudio,
	})
	if err != nil {
		return nil, capability, fmt.Errorf("make an Opus encoder: %w", err)
	}
	if o.bitrate != 0 {
		if err := w.encoder.SetBitrate(o.bitrate); err != nil {
			return nil, capability, &media.SpecError{Spec: fmt.Sprintf("audio bitrate %d", o.bitrate), Reason: "the bitrate of Opus is 6000 to 510000"}
		}
	}
	return w, capability, nil
}

// readHeader reads up to the samples.
func (w *wavReader) readHeader() error {
	if _, err := w.r.Discard(12); err != nil {
		return media.ReadError("the WAV header", err)
	}
	for {
		var chunk [8]byte
		if _, err := io.ReadFull(w.r, chunk[:]); err != nil {
			return media.ReadError("the WAV header", err)
		}
		size := binary.LittleEndian.Uint32(chunk[4:])
		switch string(chunk[:4]) {
		case "fmt ":
			if err := w.readFormat(size); err != nil {
				return err
			}
		case "data":
			if w.rate == 0 {
				return errors.New("the WAV file does not say what its samples are")
			}
			// A program that writes to a pipe cannot know it, and writes 0 or the largest number.
			w.left, w.endless = uint64(size), size == 0 || size >= math.MaxInt32
			return nil
		default:
			if _, err := w.r.Discard(int(size + size&1)); err != nil {
				return media.ReadError("the WAV header", err)
			}
		}
	}
}

func (w *wavReader) readFormat(size uint32) error {
	if size < 16 || size > 1<<16 {
		return fmt.Errorf("the WAV header says %d bytes for its format; the file is broken", size)
	}
	b := make([]byte, size+size&1)
	if _, err := io.ReadFull(w.r, b); err != nil {
		return media.ReadError("the WAV header", err)
	}
	le := binary.LittleEndian
	w.format, w.channels, w.rate = le.Uint16(b), int(le.Uint16(b[2:])), int(le.Uint32(b[4:]))
	bits := int(le.Uint16(b[14:]))
	if w.format == wavExtensible && size >= 26 {
		w.format = le.Uint16(b[24:])
	}
	w.bytes = bits / 8
	switch {
	case w.channels < 1 || w.channels > wavMaxChannels:
		return fmt.Errorf("the WAV file has %d channels; 1 to %d can be sent", w.channels, wavMaxChannels)
	case w.rate < 1000 || w.rate > wavMaxRate:
		return fmt.Errorf("the WAV file has %d samples a second; 1000 to %d can be sent", w.rate, wavMaxRate)
	case w.format == wavPCM && (bits == 8 || bits == 16 || bits == 24 || bits == 32),
		w.format == wavFloat && (bits == 32 || bits == 64),
		(w.format == wavALaw || w.format == wavMuLaw) && bits == 8:
		return nil
	}
	return fmt.Errorf("the WAV file has samples of format %d with %d bits, which are not known; convert it: ffmpeg -i FILE -c:a pcm_s16le out.wav", w.format, bits)
}

// next encodes 20 ms, the last of which may be silence.
func (w *wavReader) next() (sample, error) {
	need := opusSamples * w.out
	for len(w.pcm) < need && !w.ended {
		if err := w.readSamples(); err != nil {
			return sample{}, err
		}
	}
	if len(w.pcm) == 0 {
		return sample{}, io.EOF
	}
	for len(w.pcm) < need {
		w.pcm = append(w.pcm, 0)
	}
	n, err := w.encoder.Encode(w.pcm[:need], w.packet)
	if err != nil {
		return sample{}, fmt.Errorf("encode sound: %w", err)
	}
	w.pcm = append(w.pcm[:0], w.pcm[need:]...)
	at := w.at
	w.at += opusSamples
	return sample{data: w.packet[:n], at: at, duration: opusSamples}, nil
}

// readSamples reads up to 20 ms.
func (w *wavReader) readSamples() error {
	block := w.block
	if !w.endless {
		block = block[:min(uint64(len(block)), w.left)]
	}
	n, err := io.ReadFull(w.r, block)
	w.left -= min(w.left, uint64(n)) //nolint:gosec // not negative
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		w.ended = true
	case err != nil:
		return fmt.Errorf("read samples: %w", err)
	}
	w.ended = w.ended || !w.endless && w.left == 0
	frame := w.bytes * w.channels
	in := make([]float32, 0, n/frame*w.out)
	for b := block[:n/frame*frame]; len(b) > 0; b = b[frame:] {
		in = w.mix(in, b[:frame])
	}
	w.pcm = w.resample.add(w.pcm, in)
	if w.ended {
		w.pcm = w.resample.flush(w.pcm)
	}
	return nil
}

// mix appends one sample of each channel that is sent. More than two become one: which is left and which is right
// differs.
func (w *wavReader) mix(out []float32, frame []byte) []float32 {
	if w.channels == w.out {
		for c := range w.channels {
			out = append(out, w.value(frame[c*w.bytes:]))
		}
		return out
	}
	sum := float32(0)
	for c := range w.channels {
		sum += w.value(frame[c*w.bytes:])
	}
	return append(out, sum/float32(w.channels))
}

// value is a sample between -1 and 1.
func (w *wavReader) value(b []byte) float32 {
	le := binary.LittleEndian
	switch w.format {
	case wavALaw:
		return codec.DecodeALaw(b[0])
	case wavMuLaw:
		return codec.DecodeMuLaw(b[0])
	case wavFloat:
		v := float32(0)
		if w.bytes == 4 {
			v = math.Float32frombits(le.Uint32(b))
		} else {
			v = float32(math.Float64frombits(le.Uint64(b)))
		}
		if v != v { // no number
			return 0
		}
		return min(max(v, -1), 1)
	}
	switch w.bytes {
	case 1:
		return float32(int(b[0])-128) / 128
	case 2:
		return float32(int16(le.Uint16(b))) / (1 << 15) //nolint:gosec // it is signed
	case 3:
		return float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)) / (1 << 31) //nolint:gosec // it is signed
	}
	return float32(int32(le.Uint32(b))) / (1 << 31) //nolint:gosec // it is signed
}

// Package wav reads the samples of WAV files.
package wav

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"parley/media"
	"parley/media/codec"
)

// Formats of samples (RFC 2361).
const (
	formatPCM        = 1
	formatFloat      = 3
	formatALaw       = 6
	formatMuLaw      = 7
	formatExtensible = 0xFFFE // the format proper is in the first bytes of a GUID

	maxRate     = 384_000
	maxChannels = 32
)

// Reader reads the samples of a WAV file.
type Reader struct {
	r        *bufio.Reader
	format   uint16
	rate     int
	channels int
	bytes    int    // of one sample of one channel
	left     uint64 // bytes of samples
	endless  bool   // the size was not known when the file was begun: up to its end
	block    []byte
}

// NewReader reads the header of a WAV file up to its samples.
func NewReader(in media.Input) (*Reader, error) {
	w := &Reader{r: in.Reader}
	if err := w.readHeader(); err != nil {
		return nil, err
	}
	return w, nil
}

// SampleRate returns the sample rate in Hz.
func (w *Reader) SampleRate() int { return w.rate }

// Channels returns the number of channels, 1 to 32.
func (w *Reader) Channels() int { return w.channels }

// readHeader reads up to the samples.
func (w *Reader) readHeader() error {
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

func (w *Reader) readFormat(size uint32) error {
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
	if w.format == formatExtensible && size >= 26 {
		w.format = le.Uint16(b[24:])
	}
	w.bytes = bits / 8
	switch {
	case w.channels < 1 || w.channels > maxChannels:
		return fmt.Errorf("the WAV file has %d channels; 1 to %d can be sent", w.channels, maxChannels)
	case w.rate < 1000 || w.rate > maxRate:
		return fmt.Errorf("the WAV file has %d samples a second; 1000 to %d can be sent", w.rate, maxRate)
	case w.format == formatPCM && (bits == 8 || bits == 16 || bits == 24 || bits == 32),
		w.format == formatFloat && (bits == 32 || bits == 64),
		(w.format == formatALaw || w.format == formatMuLaw) && bits == 8:
		return nil
	}
	return fmt.Errorf("the WAV file has samples of format %d with %d bits, which are not known; convert it: ffmpeg -i FILE -c:a pcm_s16le out.wav", w.format, bits)
}

// Append appends up to n samples of each channel to dst, interleaved, from -1 to 1. The error is io.EOF if there are none.
func (w *Reader) Append(dst []float32, n int) ([]float32, error) {
	frame := w.bytes * w.channels
	if len(w.block) < n*frame {
		w.block = make([]byte, n*frame)
	}
	block := w.block[:n*frame]
	if !w.endless {
		block = block[:min(uint64(len(block)), w.left)]
	}
	size, err := io.ReadFull(w.r, block)
	w.left -= min(w.left, uint64(size)) //nolint:gosec // not negative
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return dst, fmt.Errorf("read samples: %w", err)
	}
	if size < frame {
		return dst, io.EOF
	}
	for b := block[:size/frame*frame]; len(b) > 0; b = b[w.bytes:] {
		dst = append(dst, w.value(b))
	}
	return dst, nil
}

// value is a sample between -1 and 1.
func (w *Reader) value(b []byte) float32 {
	le := binary.LittleEndian
	switch w.format {
	case formatALaw:
		return codec.DecodeALaw(b[0])
	case formatMuLaw:
		return codec.DecodeMuLaw(b[0])
	case formatFloat:
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

// Package wav reads and writes WAV files.
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
	formatExtensible = 0xFFFE // the first bytes of a GUID are the format

	minRate     = 1000
	maxRate     = 384_000
	maxChannels = 32
	maxFormat   = 1 << 16 // size of the fmt chunk in bytes

	// unknownSize is the smallest size of the data chunk that programs write to a pipe, where they
	// do not know it: 0x7FFFF000 sox, 0x80000000 arecord, 0xFFFFFFFF ffmpeg.
	unknownSize = 0x7FFFF000
)

// Reader reads the samples of a WAV, RF64 or BW64 file: integers of 8 to 32 bits, floats, A-law and
// µ-law.
type Reader struct {
	r        *bufio.Reader
	format   uint16
	rate     int
	channels int
	mask     uint32
	bytes    int    // of one sample of one channel
	left     uint64 // bytes of samples, math.MaxUint64 if unknown
	block    []byte
}

// NewReader reads the header of a file up to its samples. The samples end with the data chunk. If
// its size is unknown, they end with the file.
func NewReader(in media.Input) (*Reader, error) {
	w := &Reader{r: in.Reader}
	size, offset, err := w.readHeader()
	if err != nil {
		return nil, media.ReadError("the WAV header", err)
	}
	long := in.ReaderAt != nil && offset <= uint64(in.Size) && size <= uint64(in.Size)-offset //nolint:gosec // not negative
	if w.left = size; size == 0 || size >= unknownSize && size <= math.MaxUint32 && !long {
		w.left = math.MaxUint64
	}
	return w, nil
}

// SampleRate returns the sample rate in Hz.
func (w *Reader) SampleRate() int { return w.rate }

// Channels returns the number of channels, 1 to 32.
func (w *Reader) Channels() int { return w.channels }

// ChannelMask returns the speaker positions of the channels as the bits of an extensible header, or
// 0 if it has none.
func (w *Reader) ChannelMask() uint32 { return w.mask }

// readHeader reads up to the samples, and returns the size of the data chunk and the offset of its
// start.
func (w *Reader) readHeader() (size, offset uint64, err error) {
	if _, err := w.r.Discard(12); err != nil {
		return 0, 0, err
	}
	offset = 12
	long := uint64(0) // size of the data chunk in a ds64 chunk
	for {
		var chunk [8]byte
		if _, err := io.ReadFull(w.r, chunk[:]); err != nil {
			return 0, 0, err
		}
		id, size := string(chunk[:4]), uint64(binary.LittleEndian.Uint32(chunk[4:]))
		offset += 8
		if id == "data" {
			if w.rate == 0 {
				return 0, 0, errors.New("no fmt chunk before the samples")
			}
			if size == math.MaxUint32 && long > 0 {
				size = long
			}
			return size, offset, nil
		}
		padded := size + size&1
		offset += padded
		if id == "ds64" && size >= 16 { // EBU Tech 3306
			var sizes [16]byte // of the file and the data chunk
			if _, err := io.ReadFull(w.r, sizes[:]); err != nil {
				return 0, 0, err
			}
			long = binary.LittleEndian.Uint64(sizes[8:])
			padded -= 16
		}
		if id == "fmt " {
			err = w.readFormat(padded)
		} else {
			_, err = io.CopyN(io.Discard, w.r, int64(padded)) //nolint:gosec // at most 4 GiB
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

func (w *Reader) readFormat(size uint64) error {
	if size < 16 || size > maxFormat {
		return fmt.Errorf("invalid fmt chunk: %d bytes, want 16 to %d", size, maxFormat)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(w.r, b); err != nil {
		return err
	}
	le := binary.LittleEndian
	w.format, w.channels, w.rate = le.Uint16(b), int(le.Uint16(b[2:])), int(le.Uint32(b[4:]))
	bits := int(le.Uint16(b[14:]))
	if w.format == formatExtensible && size >= 26 {
		w.mask, w.format = le.Uint32(b[20:]), le.Uint16(b[24:])
	}
	w.bytes = (bits + 7) / 8
	switch {
	case w.channels < 1 || w.channels > maxChannels:
		return fmt.Errorf("%d channels; want 1 to %d", w.channels, maxChannels)
	case w.rate < minRate || w.rate > maxRate:
		return fmt.Errorf("sample rate of %d Hz; want %d to %d", w.rate, minRate, maxRate)
	case w.format == formatPCM && bits >= 8 && bits <= 32,
		w.format == formatFloat && (bits == 32 || bits == 64),
		(w.format == formatALaw || w.format == formatMuLaw) && bits == 8:
		return nil
	}
	return fmt.Errorf("samples of format %d with %d bits cannot be read; convert it: ffmpeg -i FILE -c:a pcm_s16le OUT.wav", w.format, bits)
}

// Append appends up to n samples of each channel to dst, interleaved, from -1 to 1. The error is
// io.EOF after the last one.
func (w *Reader) Append(dst []float32, n int) ([]float32, error) {
	frame := w.bytes * w.channels
	if len(w.block) < n*frame {
		w.block = make([]byte, n*frame)
	}
	block := w.block[:min(uint64(n*frame), w.left)] //nolint:gosec // small
	size, err := io.ReadFull(w.r, block)
	if w.left != math.MaxUint64 {
		w.left -= uint64(size) //nolint:gosec // not negative
	}
	for b := block[:size/frame*frame]; len(b) > 0; b = b[w.bytes:] {
		dst = append(dst, w.sample(b))
	}
	switch {
	case size >= frame:
		return dst, nil // an error comes again
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return dst, io.EOF
	}
	return dst, fmt.Errorf("read samples: %w", err)
}

// sample decodes one sample, from -1 to 1. Integers are aligned to the most significant bit.
func (w *Reader) sample(b []byte) float32 {
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
		if v != v { // NaN
			return 0
		}
		return min(max(v, -1), 1)
	}
	switch w.bytes {
	case 1:
		return float32(int(b[0])-128) / 128
	case 2:
		return float32(int16(le.Uint16(b))) / (1 << 15) //nolint:gosec // signed
	case 3:
		return float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)) / (1 << 31) //nolint:gosec // signed
	}
	return float32(int32(le.Uint32(b))) / (1 << 31) //nolint:gosec // signed
}

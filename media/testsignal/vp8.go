package testsignal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"sync"

	"github.com/deepteams/webp"
)

// A VP8Encoder encodes images as VP8 key frames. It uses a WebP encoder: a lossy WebP image is one
// VP8 key frame in a RIFF container (RFC 9649 section 2.5).
type VP8Encoder struct {
	options webp.EncoderOptions
	target  int // bytes per frame, 0 for constant quality
	limit   int // bytes per frame that the network carries, 0 for no limit
	buffer  bytes.Buffer
}

const (
	defaultQuality = 60
	minQuality     = 5
	maxQuality     = 90
)

// warmUp encodes one image per process. The library fills its tables at the first use without a
// lock, so that two encoders that start at once would race.
var warmUp = sync.OnceValue(func() error {
	e := &VP8Encoder{options: vp8Options()}
	img := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range img.Pix {
		img.Pix[i] = byte(i * 7)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	_, err := e.Encode(img)
	return err
})

func vp8Options() webp.EncoderOptions {
	options := *webp.DefaultOptions()
	options.Quality = defaultQuality
	options.Method = 0   // half the time of the default method, 50 % more bytes
	options.Segments = 1 // the pattern needs the same quality everywhere
	return options
}

// NewVP8Encoder returns an encoder for a bitrate in bit/s at a frame rate in frames/s, or for
// constant quality if bitrate is 0.
func NewVP8Encoder(bitrate int, frameRate float64) (*VP8Encoder, error) {
	if err := warmUp(); err != nil {
		return nil, err
	}
	e := &VP8Encoder{options: vp8Options()}
	if bitrate > 0 {
		e.target = max(1, int(float64(bitrate)/8/frameRate))
	}
	return e, nil
}

// Encode returns the key frame of img, valid until the next call. img must be opaque, since WebP
// puts transparency into a chunk of its own.
func (e *VP8Encoder) Encode(img *image.RGBA) ([]byte, error) {
	e.buffer.Reset()
	if err := webp.Encode(&e.buffer, img, &e.options); err != nil {
		return nil, fmt.Errorf("encode test video: %w", err)
	}
	frame, err := vp8Chunk(e.buffer.Bytes())
	if err != nil {
		return nil, fmt.Errorf("encode test video: %w", err)
	}
	e.adapt(len(frame))
	return frame, nil
}

// adapt adjusts the quality to the size of the latest frame. Successive frames are alike.
func (e *VP8Encoder) adapt(size int) {
	target := e.target
	if e.limit > 0 && (target == 0 || e.limit < target) {
		target = e.limit
	}
	if target == 0 {
		return
	}
	switch ratio := float64(size) / float64(target); {
	case ratio > 1.5:
		e.options.Quality -= 8
	case ratio > 1.02:
		e.options.Quality -= 2
	case ratio < 0.7:
		e.options.Quality += 4
	case ratio < 0.95:
		e.options.Quality++
	}
	highest := float32(maxQuality)
	if e.target == 0 {
		highest = defaultQuality
	}
	e.options.Quality = min(max(e.options.Quality, minQuality), highest)
}

// SetMaxFrameSize limits the size of frames in bytes, approximately. 0 removes the limit.
func (e *VP8Encoder) SetMaxFrameSize(size int) { e.limit = size }

// MinFrameSize returns the approximate size in bytes of a frame of the test video at the lowest
// quality.
func MinFrameSize(r image.Rectangle) float64 { return float64(r.Dx()*r.Dy()) / 24 }

// vp8Chunk returns the VP8 frame of a WebP file (RFC 9649 section 2.3; chunks are padded to an even
// size).
func vp8Chunk(file []byte) ([]byte, error) {
	if len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WEBP" {
		return nil, errors.New("not a WebP file")
	}
	for rest := file[12:]; len(rest) >= 8; {
		size := binary.LittleEndian.Uint32(rest[4:])
		name, body := string(rest[:4]), rest[8:]
		if uint64(size) > uint64(len(body)) {
			return nil, fmt.Errorf("chunk %q is cut off", name)
		}
		if name == "VP8 " {
			return body[:size], nil
		}
		if name == "ALPH" || name == "VP8L" {
			return nil, fmt.Errorf("chunk %q is not VP8", name)
		}
		rest = body[min(int(size+size&1), len(body)):]
	}
	return nil, errors.New("no VP8 frame in the WebP file")
}

package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"sync"

	"github.com/deepteams/webp"
)

// vp8Encoder makes a VP8 key frame of each picture. A lossy WebP picture is one VP8 key frame in a RIFF container
// (RFC 9649 section 2.5), so that a WebP encoder is all it takes.
type vp8Encoder struct {
	options webp.EncoderOptions
	budget  int // bytes a frame, 0 for constant quality
	most    int // bytes a frame that the network carries, 0 for any number
	buffer  bytes.Buffer
}

const (
	defaultQuality = 60
	minQuality     = 5
	maxQuality     = 90
)

// warmUp encodes a picture once in a process. The library fills its tables when it first needs them, without a lock, so
// that two first encoders at once would race. The state is the library's own; this only orders it.
var warmUp = sync.OnceValue(func() error {
	e := &vp8Encoder{options: vp8Options()}
	img := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range img.Pix {
		img.Pix[i] = byte(i * 7)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	_, err := e.encode(img)
	return err
})

func vp8Options() webp.EncoderOptions {
	options := *webp.DefaultOptions()
	options.Quality = defaultQuality
	options.Method = 0   // half the time of the default method, for half as many bytes again
	options.Segments = 1 // the card is the same everywhere
	return options
}

// newVP8Encoder encodes at bitrate bit/s, or at constant quality if that is 0.
func newVP8Encoder(bitrate int, frameRate float64) (*vp8Encoder, error) {
	if err := warmUp(); err != nil {
		return nil, err
	}
	e := &vp8Encoder{options: vp8Options()}
	if bitrate > 0 {
		e.budget = max(1, int(float64(bitrate)/8/frameRate))
	}
	return e, nil
}

// encode returns the key frame of img, valid until the next call. The picture must be opaque: WebP would put
// transparency into a chunk that VP8 does not know.
func (e *vp8Encoder) encode(img *image.RGBA) ([]byte, error) {
	e.buffer.Reset()
	if err := webp.Encode(&e.buffer, img, &e.options); err != nil {
		return nil, fmt.Errorf("encode test picture: %w", err)
	}
	frame, err := vp8Chunk(e.buffer.Bytes())
	if err != nil {
		return nil, fmt.Errorf("encode test picture: %w", err)
	}
	e.adapt(len(frame))
	return frame, nil
}

// adapt moves the quality towards the budget. Successive pictures are alike, so the size of one predicts the next.
func (e *vp8Encoder) adapt(size int) {
	budget := e.budget
	if e.most > 0 && (budget == 0 || e.most < budget) {
		budget = e.most
	}
	if budget == 0 {
		return
	}
	switch ratio := float64(size) / float64(budget); {
	case ratio > 1.5:
		e.options.Quality -= 8
	case ratio > 1.02:
		e.options.Quality -= 2
	case ratio < 0.7:
		e.options.Quality += 4
	case ratio < 0.95:
		e.options.Quality++
	}
	most := float32(maxQuality)
	if e.budget == 0 {
		most = defaultQuality // the network carries more than constant quality takes
	}
	e.options.Quality = min(max(e.options.Quality, minQuality), most)
}

// limit bounds the size of a frame in bytes.
func (e *vp8Encoder) limit(most int) { e.most = most }

// least is the size in bytes below which a frame of the test picture does not get.
func (e *vp8Encoder) least(r image.Rectangle) float64 { return float64(r.Dx()*r.Dy()) / 24 }

// vp8Chunk takes the VP8 frame out of a WebP file (RFC 9649 section 2.3: chunks are padded to an even size).
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

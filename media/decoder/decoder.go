package decoder

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"strings"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
	"golang.org/x/image/vp8"
)

// A Decoder turns the frames of one track into pictures. One goroutine uses it.
type Decoder interface {
	// Decode takes a frame and returns the latest picture, valid until the next call; nil if there is none yet. An
	// error is of this frame: what comes before the next key frame may fail as well.
	Decode(frame []byte) (image.Image, error)

	// KeyFramesOnly tells that frames between key frames are skipped, so that somebody should ask for key frames.
	KeyFramesOnly() bool

	Close()
}

// NewFunc makes a decoder of frames of a codec, by its MIME type. The error says what is missing.
type NewFunc func(mime string) (Decoder, error)

// keyFrameDecoder shows the key frames of VP8, which is what pure Go can do.
type keyFrameDecoder struct{}

// NewKeyFrame is a NewFunc that needs nothing: it decodes key frames of VP8.
func NewKeyFrame(mime string) (Decoder, error) {
	if mime != webrtc.MimeTypeVP8 {
		return nil, fmt.Errorf("%s cannot be decoded without cgo or ffmpeg", media.CodecName(mime))
	}
	return keyFrameDecoder{}, nil
}

// Decode implements Decoder.
func (keyFrameDecoder) Decode(frame []byte) (image.Image, error) {
	p := codec.ParseVP8(frame)
	if !p.Key {
		return nil, nil
	}
	if p.Width > media.MaxDimension || p.Height > media.MaxDimension {
		return nil, fmt.Errorf("a picture of %dx%d is not decoded", p.Width, p.Height)
	}
	img, ok := DecodeVP8KeyFrame(frame)
	if !ok {
		return nil, errors.New("the key frame cannot be decoded")
	}
	return img, nil
}

// KeyFramesOnly implements Decoder.
func (keyFrameDecoder) KeyFramesOnly() bool { return true }

// Close implements Decoder.
func (keyFrameDecoder) Close() {}

// DecodeVP8KeyFrame decodes a key frame. The frame comes from a stranger, so that a decoder that panics must not take the call
// with it.
func DecodeVP8KeyFrame(frame []byte) (img *image.YCbCr, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(frame), len(frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		return nil, false
	}
	decoded, err := d.DecodeFrame()
	if err != nil {
		return nil, false
	}
	return decoded, true
}

// First is a NewFunc that takes the first of several that can do it. If none can, the error has all the
// reasons.
func First(all ...NewFunc) NewFunc {
	return func(mime string) (Decoder, error) {
		var reasons []string
		for _, newDecoder := range all {
			d, err := newDecoder(mime)
			if err == nil {
				return d, nil
			}
			reasons = append(reasons, err.Error())
		}
		return nil, errors.New(strings.Join(reasons, "; "))
	}
}

// KeyFramesFirst returns a NewFunc whose decoder decodes key frames of VP8 in Go until the first frame of another kind.
// From there on a decoder of newDecoder decodes, which may be a process of its own.
func KeyFramesFirst(newDecoder NewFunc) NewFunc {
	return func(mime string) (Decoder, error) {
		if mime != webrtc.MimeTypeVP8 {
			return newDecoder(mime)
		}
		return &keyFramesFirst{newDecoder: newDecoder}, nil
	}
}

type keyFramesFirst struct {
	keys       keyFrameDecoder
	all        Decoder // nil until the first frame that is no key frame
	newDecoder NewFunc
}

// Decode implements Decoder.
func (d *keyFramesFirst) Decode(frame []byte) (image.Image, error) {
	if d.all == nil {
		if codec.ParseVP8(frame).Key {
			return d.keys.Decode(frame)
		}
		var err error
		if d.all, err = d.newDecoder(webrtc.MimeTypeVP8); err != nil {
			return nil, err
		}
	}
	return d.all.Decode(frame) // an error until the next key frame
}

// KeyFramesOnly implements Decoder.
func (d *keyFramesFirst) KeyFramesOnly() bool { return d.all != nil && d.all.KeyFramesOnly() }

// Close implements Decoder.
func (d *keyFramesFirst) Close() {
	if d.all != nil {
		d.all.Close()
	}
}

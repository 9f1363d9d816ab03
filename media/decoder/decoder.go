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

// A Decoder decodes the frames of one track. One goroutine uses it.
type Decoder interface {
	// Decode decodes a frame and returns the latest decoded one, valid until the next call, or nil
	// if there is none yet. After an error frames may fail until the next key frame.
	Decode(frame []byte) (image.Image, error)

	// KeyFramesOnly reports whether only key frames are decoded, so that the sender should be asked
	// for them.
	KeyFramesOnly() bool

	Close()
}

// NewFunc makes a decoder for a codec, by its MIME type. The error says what is missing.
type NewFunc func(mime string) (Decoder, error)

// keyFrameDecoder decodes key frames of VP8.
type keyFrameDecoder struct{}

// NewKeyFrame is a NewFunc for the key frames of VP8, which works in every build.
func NewKeyFrame(mime string) (Decoder, error) {
	if mime != webrtc.MimeTypeVP8 {
		return nil, fmt.Errorf("%s cannot be decoded without cgo or ffmpeg", media.CodecName(mime))
	}
	return keyFrameDecoder{}, nil
}

// Decode implements Decoder.
func (keyFrameDecoder) Decode(frame []byte) (image.Image, error) {
	header := codec.ParseVP8(frame)
	if !header.Key {
		return nil, nil
	}
	if header.Width > media.MaxDimension || header.Height > media.MaxDimension {
		return nil, fmt.Errorf("invalid frame size %dx%d: want at most %dx%d", header.Width, header.Height, media.MaxDimension, media.MaxDimension)
	}
	img, ok := DecodeVP8KeyFrame(frame)
	if !ok {
		return nil, errors.New("invalid VP8 key frame")
	}
	return img, nil
}

// KeyFramesOnly implements Decoder.
func (keyFrameDecoder) KeyFramesOnly() bool { return true }

// Close implements Decoder.
func (keyFrameDecoder) Close() {}

// DecodeVP8KeyFrame decodes a key frame of VP8. ok is false for an invalid one.
func DecodeVP8KeyFrame(frame []byte) (img *image.YCbCr, ok bool) {
	defer func() {
		if recover() != nil { // the frame comes from the network, and must not end the call
			ok = false
		}
	}()
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(frame), len(frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		return nil, false
	}
	img, err := d.DecodeFrame()
	return img, err == nil
}

// First returns a NewFunc that tries several in order. If all fail, the error has all reasons.
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

// KeyFramesFirst returns a NewFunc whose decoder decodes key frames of VP8 in Go until the first
// frame of another kind. From there on a decoder of newDecoder decodes, which may be a process of
// its own.
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

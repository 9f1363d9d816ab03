package source

import (
	"errors"
	"fmt"
	"image"
	"strings"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
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

// NewDecoder makes a decoder of frames of a codec, by its MIME type. The error says what is missing.
type NewDecoder func(mime string) (Decoder, error)

// keyFrameDecoder shows the key frames of VP8, which is what pure Go can do.
type keyFrameDecoder struct{}

// NewKeyFrameDecoder is a NewDecoder that needs nothing: it decodes key frames of VP8.
func NewKeyFrameDecoder(mime string) (Decoder, error) {
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
	img, ok := decodeVP8(frame)
	if !ok {
		return nil, errors.New("the key frame cannot be decoded")
	}
	return img, nil
}

// KeyFramesOnly implements Decoder.
func (keyFrameDecoder) KeyFramesOnly() bool { return true }

// Close implements Decoder.
func (keyFrameDecoder) Close() {}

// FirstDecoder is a NewDecoder that takes the first of several that can do it. If none can, the error has all the
// reasons.
func FirstDecoder(all ...NewDecoder) NewDecoder {
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

//go:build linux && cgo

package device

import (
	"fmt"

	"github.com/pion/webrtc/v4"
)

// keyFrameSeconds is how often a key frame comes that nobody has asked for: rarely, for it costs as much as ten others,
// but a recording that somebody joins should not stay without a picture.
const keyFrameSeconds = 10

// pictureEncoder encodes pictures of one size. One goroutine uses it.
type pictureEncoder interface {
	// encode encodes one picture. The result is empty if it is left out, to keep the bitrate.
	encode(p *picture, key bool) ([]byte, error)
	setBitrate(bitrate int) error
	close()
}

type newPictureEncoder func(width, height int, rate float64, bitrate int) (pictureEncoder, error)

// videoCodecs are the encoders of this build.
func videoCodecs() map[string]newPictureEncoder {
	all := vpxCodecs()
	all[webrtc.MimeTypeH264] = newH264
	return all
}

// codecs has first what most can receive: a Firefox that has not been online yet has no H.264, and all have VP8.
func codecs() []string {
	var all []string
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264, webrtc.MimeTypeVP9} {
		if videoCodecs()[mime] != nil {
			all = append(all, mime)
		}
	}
	return append(all, webrtc.MimeTypeOpus)
}

// encoderName is the library that encodes to a codec.
func encoderName(mime string) string {
	if mime == webrtc.MimeTypeH264 {
		return "OpenH264"
	}
	return "libvpx"
}

func newEncoder(mime string, width, height int, rate float64, bitrate int) (pictureEncoder, error) {
	build := videoCodecs()[mime]
	if build == nil {
		return nil, fmt.Errorf("this build does not encode %s", mime)
	}
	e, err := build(width, height, rate, bitrate)
	if err != nil {
		return nil, fmt.Errorf("make an encoder for %s at %dx%d: %w", mime, width, height, err)
	}
	return e, nil
}

// resizing is an encoder for pictures of any size: another size is another encoder.
type resizing struct {
	mime          string
	rate          float64
	encoder       pictureEncoder
	width, height int
	bitrate       int
	keyOwed       bool
}

// encode encodes one picture; bitrate 0 leaves the bitrate to the size.
func (r *resizing) encode(p *picture, key bool, bitrate int) ([]byte, error) {
	if err := r.fit(p.Rect.Dx(), p.Rect.Dy(), bitrate); err != nil {
		return nil, err
	}
	r.keyOwed = r.keyOwed || key
	frame, err := r.encoder.encode(p, r.keyOwed)
	if err == nil && len(frame) > 0 {
		r.keyOwed = false
	}
	return frame, err
}

// fit makes the encoder one for pictures of that size and bitrate.
func (r *resizing) fit(width, height, bitrate int) (err error) {
	if r.rate <= 0 {
		r.rate = defaultCameraRate
	}
	if bitrate == 0 {
		bitrate = fairBitrate(width, height, r.rate)
	}
	switch {
	case r.encoder == nil || width != r.width || height != r.height:
		r.close()
		r.encoder, err = newEncoder(r.mime, width, height, r.rate, bitrate)
	case bitrate != r.bitrate:
		err = r.encoder.setBitrate(bitrate)
	}
	r.width, r.height, r.bitrate = width, height, bitrate
	return err
}

func (r *resizing) close() {
	if r.encoder != nil {
		r.encoder.close()
		r.encoder = nil
	}
}

// fairBitrate is a tenth of a bit for each pixel, within what calls carry.
func fairBitrate(width, height int, rate float64) int {
	return min(max(int(float64(width*height)*rate/10), 150_000), 4_000_000)
}

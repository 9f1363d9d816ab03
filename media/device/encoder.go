//go:build linux && cgo

package device

import (
	"errors"
	"fmt"
	"image"
	"math"
	"time"
	"unsafe"

	"parley/media/decoder"
	"parley/media/source"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/codec/openh264"
	"github.com/pion/mediadevices/pkg/prop"
	"github.com/pion/webrtc/v4"
)

// keyFrameSeconds is how often a key frame comes that nobody has asked for: rarely, for it costs as much as ten others,
// but a recording that somebody joins should not stay without a picture.
const keyFrameSeconds = 10

// frameEncoder encodes pictures of one size. One goroutine uses it.
type frameEncoder interface {
	// encode encodes one picture. The result is empty if it is left out, to keep the bitrate.
	encode(p *rawFrame, key bool) ([]byte, error)
	setBitrate(bitrate int) error
	close()
}

type newFrameEncoder func(width, height int, rate float64, bitrate int) (frameEncoder, error)

// videoCodecs are the encoders of this build.
func videoCodecs() map[string]newFrameEncoder {
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

func newEncoder(mime string, width, height int, rate float64, bitrate int) (frameEncoder, error) {
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
type resizingEncoder struct {
	mime            string
	rate            float64
	encoder         frameEncoder
	width, height   int
	bitrate         int
	keyFramePending bool
}

// encode encodes one picture; bitrate 0 leaves the bitrate to the size.
func (r *resizingEncoder) encode(p *rawFrame, key bool, bitrate int) ([]byte, error) {
	if err := r.fit(p.Rect.Dx(), p.Rect.Dy(), bitrate); err != nil {
		return nil, err
	}
	r.keyFramePending = r.keyFramePending || key
	frame, err := r.encoder.encode(p, r.keyFramePending)
	if err == nil && len(frame) > 0 {
		r.keyFramePending = false
	}
	return frame, err
}

// fit makes the encoder one for pictures of that size and bitrate.
func (r *resizingEncoder) fit(width, height, bitrate int) (err error) {
	if r.rate <= 0 {
		r.rate = defaultCameraRate
	}
	if bitrate == 0 {
		bitrate = defaultBitrate(width, height, r.rate)
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

func (r *resizingEncoder) close() {
	if r.encoder != nil {
		r.encoder.close()
		r.encoder = nil
	}
}

// defaultBitrate is a tenth of a bit for each pixel, within what calls carry.
func defaultBitrate(width, height int, rate float64) int {
	return min(max(int(float64(width*height)*rate/10), 150_000), 4_000_000)
}

// h264Encoder is OpenH264 by mediadevices. It is deliberately not x264: both of mediadevices' define the same symbols,
// and x264 would put the whole program under the GPL. One goroutine uses all of it, since its setters take no lock.
type h264Encoder struct {
	codec.ReadCloser
	next image.Image
}

func newH264(width, height int, rate float64, bitrate int) (frameEncoder, error) {
	e := &h264Encoder{}
	params := &openh264.Params{
		BaseParams:        codec.BaseParams{BitRate: bitrate},
		UsageType:         openh264.CameraVideoRealTime,
		RCMode:            openh264.RCBitrateMode,
		EnableFrameSkip:   true, // otherwise the bitrate is not kept
		IntraPeriod:       uint(math.Ceil(rate * keyFrameSeconds)),
		MultipleThreadIdc: 1,
		SliceNum:          1,
		SliceMode:         openh264.SMSingleSlice,
	}
	var err error
	e.ReadCloser, err = params.BuildVideoEncoder(e, prop.Media{
		Video: prop.Video{Width: width, Height: height, FrameRate: float32(rate), FrameFormat: "I420"},
	})
	return e, err
}

// Read is where the encoder gets the picture from.
func (e *h264Encoder) Read() (image.Image, func(), error) { return e.next, func() {}, nil }

// encode implements frameEncoder.
func (e *h264Encoder) encode(p *rawFrame, key bool) ([]byte, error) {
	if key {
		forced, ok := e.Controller().(codec.KeyFrameController)
		if !ok {
			return nil, errors.New("this encoder makes no key frames on request")
		}
		if err := forced.ForceKeyFrame(); err != nil {
			return nil, err
		}
	}
	e.next = &p.YCbCr
	frame, release, err := e.ReadCloser.Read()
	e.next = nil
	if err != nil {
		return nil, err
	}
	release()
	return frame, nil
}

// setBitrate implements frameEncoder.
func (e *h264Encoder) setBitrate(bitrate int) error {
	c, ok := e.Controller().(codec.BitRateController)
	if !ok {
		return errors.New("this encoder cannot change its bitrate")
	}
	return c.SetBitRate(bitrate)
}

// close implements frameEncoder.
func (e *h264Encoder) close() { _ = e.Close() } // gives memory back, no more

// rawEncoder encodes pictures that come from elsewhere than a device.
type rawEncoder struct {
	resizingEncoder
	size  image.Point
	most  int // bit/s, 0 for what is fair for the size
	aim   int // bit/s now
	frame rawFrame
	start time.Time
}

func newRawEncoder(mime string, width, height int, rate float64, bitrate int) (source.VideoEncoder, error) {
	mimes, err := selectCodecs(mime)
	if err != nil {
		return nil, err
	}
	mime = mimes[0]
	e := &rawEncoder{resizingEncoder: resizingEncoder{mime: mime, rate: rate}, size: image.Pt(width, height), most: bitrate, aim: bitrate, start: time.Unix(0, 0)}
	return e, e.fit(width, height, bitrate)
}

func (e *rawEncoder) Codec() string { return e.mime }

func (e *rawEncoder) Encode(p *image.YCbCr, at time.Duration, key bool) ([]byte, error) {
	e.frame.copyFrom(p)
	e.frame.at = e.start.Add(at)
	return e.encode(&e.frame, key, e.aim)
}

func (e *rawEncoder) SetBitrate(bitrate int) error {
	most := e.most
	if most == 0 {
		most = defaultBitrate(e.size.X, e.size.Y, e.rate)
	}
	e.aim = min(bitrate, most)
	return e.fit(e.size.X, e.size.Y, e.aim)
}

func (e *rawEncoder) Close() { e.close() }

func newDecoder(mime string) (decoder.Decoder, error) {
	switch mime {
	case webrtc.MimeTypeH264:
		return newH264Decoder()
	case webrtc.MimeTypeVP8, webrtc.MimeTypeVP9:
		return newVPXDecoder(mime)
	}
	return nil, fmt.Errorf("this build does not decode %s", mime[len("video/"):])
}

// copyPlanes copies a picture, 4:2:0, out of the memory of a decoder.
func copyPlanes(to *image.YCbCr, width, height int, planes [3]unsafe.Pointer, strides [3]int) (image.Image, error) {
	if width < 1 || height < 1 || width > 1<<14 || height > 1<<14 {
		return nil, errors.New("the picture has no size")
	}
	if to.Rect.Dx() != width || to.Rect.Dy() != height {
		*to = *image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	}
	cw, ch := (width+1)/2, (height+1)/2
	for i, plane := range []struct {
		data              []byte
		stride, w, height int
	}{{to.Y, to.YStride, width, height}, {to.Cb, to.CStride, cw, ch}, {to.Cr, to.CStride, cw, ch}} {
		src := unsafe.Slice((*byte)(planes[i]), strides[i]*(plane.height-1)+plane.w)
		copyRows(plane.data, plane.stride, src, strides[i], plane.w, plane.height)
	}
	return to, nil
}

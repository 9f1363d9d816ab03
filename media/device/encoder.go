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

// keyFrameSeconds is the interval of key frames that are not requested. It is long because a key
// frame takes the bitrate of ten others.
const keyFrameSeconds = 10

// frameEncoder encodes frames of one size. One goroutine uses it.
type frameEncoder interface {
	// encode encodes a frame. The result is empty if the frame is dropped to keep the bitrate.
	encode(p *rawFrame, key bool) ([]byte, error)
	setBitrate(bitrate int) error
	close()
}

type newFrameEncoder func(width, height int, rate float64, bitrate int) (frameEncoder, error)

// videoCodecs returns the encoders of this build by MIME type.
func videoCodecs() map[string]newFrameEncoder {
	all := vpxCodecs()
	all[webrtc.MimeTypeH264] = newH264
	return all
}

// codecs returns the codecs of this build. VP8 is first: Firefox downloads its H.264 decoder after
// the installation.
func codecs() []string {
	var all []string
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264, webrtc.MimeTypeVP9} {
		if videoCodecs()[mime] != nil {
			all = append(all, mime)
		}
	}
	return append(all, webrtc.MimeTypeOpus)
}

// encoderName returns the name of the library that encodes a codec.
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

// resizingEncoder encodes frames of any size. Another size creates another encoder.
type resizingEncoder struct {
	mime            string
	rate            float64
	encoder         frameEncoder
	width, height   int
	bitrate         int
	keyFramePending bool
}

// encode encodes a frame. bitrate 0 is the default of the size.
func (r *resizingEncoder) encode(p *rawFrame, key bool, bitrate int) ([]byte, error) {
	if err := r.configure(p.Rect.Dx(), p.Rect.Dy(), bitrate); err != nil {
		return nil, err
	}
	r.keyFramePending = r.keyFramePending || key
	frame, err := r.encoder.encode(p, r.keyFramePending)
	if err == nil && len(frame) > 0 {
		r.keyFramePending = false
	}
	return frame, err
}

// configure prepares the encoder for a size and bitrate.
func (r *resizingEncoder) configure(width, height, bitrate int) (err error) {
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

// defaultBitrate returns a tenth of a bit per pixel in bit/s, between 150 kbit/s and 4 Mbit/s.
func defaultBitrate(width, height int, rate float64) int {
	return min(max(int(float64(width*height)*rate/10), 150_000), 4_000_000)
}

// h264Encoder encodes with OpenH264 of mediadevices. x264 of mediadevices has the same symbols and
// would put the program under the GPL.
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
		EnableFrameSkip:   true, // to keep the bitrate
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

// Read returns the next frame to the encoder of mediadevices.
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
func (e *h264Encoder) close() { _ = e.Close() } // it cannot fail

// rawEncoder encodes frames that do not come from a device.
type rawEncoder struct {
	resizingEncoder
	size    image.Point
	limit   int // bit/s, 0 for the default of the size
	bitrate int // bit/s
	frame   rawFrame
	start   time.Time
}

func newRawEncoder(mime string, width, height int, rate float64, bitrate int) (source.VideoEncoder, error) {
	mimes, err := selectCodecs(mime)
	if err != nil {
		return nil, err
	}
	mime = mimes[0]
	e := &rawEncoder{resizingEncoder: resizingEncoder{mime: mime, rate: rate}, size: image.Pt(width, height), limit: bitrate, bitrate: bitrate, start: time.Unix(0, 0)}
	return e, e.configure(width, height, bitrate)
}

func (e *rawEncoder) Codec() string { return e.mime }

func (e *rawEncoder) Encode(p *image.YCbCr, at time.Duration, key bool) ([]byte, error) {
	e.frame.copyFrom(p)
	e.frame.at = e.start.Add(at)
	return e.encode(&e.frame, key, e.bitrate)
}

func (e *rawEncoder) SetBitrate(bitrate int) error {
	limit := e.limit
	if limit == 0 {
		limit = defaultBitrate(e.size.X, e.size.Y, e.rate)
	}
	e.bitrate = min(bitrate, limit)
	return e.configure(e.size.X, e.size.Y, e.bitrate)
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

// copyPlanes copies a frame in 4:2:0 from the memory of a C decoder.
func copyPlanes(to *image.YCbCr, width, height int, planes [3]unsafe.Pointer, strides [3]int) (image.Image, error) {
	if width < 1 || height < 1 || width > 1<<14 || height > 1<<14 {
		return nil, errors.New("invalid frame size")
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

//go:build linux && cgo

package libcodec

import (
	"errors"
	"fmt"
	"image"
	"math"
	"time"
	"unsafe"

	"parley/media/decoder"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/codec/openh264"
	"github.com/pion/mediadevices/pkg/prop"
	"github.com/pion/webrtc/v4"
)

// keyFrameSeconds is the interval of key frames that are not requested. keyFrameSeconds is long
// because a key frame takes the bitrate of ten others.
const keyFrameSeconds = 10

// defaultFrameRate is the frame rate if it is unknown.
const defaultFrameRate = 30

// frameEncoder encodes frames of one size. One goroutine uses it.
type frameEncoder interface {
	// encode encodes a frame. The result is empty if the frame is dropped to keep the bitrate.
	encode(p *image.YCbCr, at time.Time, key bool) ([]byte, error)
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

// Codecs returns the MIME types that this build encodes, video before audio. VP8 is first: Firefox
// downloads its H.264 decoder after the installation.
func Codecs() []string {
	var all []string
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeH264, webrtc.MimeTypeVP9} {
		if videoCodecs()[mime] != nil {
			all = append(all, mime)
		}
	}
	return append(all, webrtc.MimeTypeOpus)
}

// EncoderName returns the name of the library that encodes a codec.
func EncoderName(mime string) string {
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

// VideoEncoder encodes frames of any size. Another size creates another encoder of the library. One
// goroutine uses it.
type VideoEncoder struct {
	mime string
	// FrameRate is the frame rate of the next encoder of the library, in frames per second.
	FrameRate       float64
	encoder         frameEncoder
	size            image.Point
	bitrate         int
	keyFramePending bool
}

// NewVideoEncoder returns an encoder for one of Codecs. The caller calls Close.
func NewVideoEncoder(mime string, frameRate float64) *VideoEncoder {
	return &VideoEncoder{mime: mime, FrameRate: frameRate}
}

// Size returns the size of the last frame.
func (e *VideoEncoder) Size() image.Point { return e.size }

// Codec returns the MIME type.
func (e *VideoEncoder) Codec() string { return e.mime }

// Encode encodes a frame in 4:2:0 with even sides, captured at at, and as a key frame if key is
// set. bitrate is in bit/s, 0 for the default of the size. The result is empty if the frame is
// dropped to keep the bitrate.
func (e *VideoEncoder) Encode(p *image.YCbCr, at time.Time, key bool, bitrate int) ([]byte, error) {
	if err := e.Configure(p.Rect.Dx(), p.Rect.Dy(), bitrate); err != nil {
		return nil, err
	}
	e.keyFramePending = e.keyFramePending || key
	frame, err := e.encoder.encode(p, at, e.keyFramePending)
	if err == nil && len(frame) > 0 {
		e.keyFramePending = false
	}
	return frame, err
}

// Configure prepares the encoder for a size and bitrate.
func (e *VideoEncoder) Configure(width, height, bitrate int) (err error) {
	if e.FrameRate <= 0 {
		e.FrameRate = defaultFrameRate
	}
	if bitrate == 0 {
		bitrate = DefaultBitrate(width, height, e.FrameRate)
	}
	switch {
	case e.encoder == nil || e.size != image.Pt(width, height):
		e.Close()
		e.encoder, err = newEncoder(e.mime, width, height, e.FrameRate, bitrate)
	case bitrate != e.bitrate:
		err = e.encoder.setBitrate(bitrate)
	}
	e.size, e.bitrate = image.Pt(width, height), bitrate
	return err
}

// Close closes the encoder. Encode opens it again.
func (e *VideoEncoder) Close() {
	if e.encoder != nil {
		e.encoder.close()
		e.encoder = nil
	}
}

// DefaultBitrate returns a tenth of a bit per pixel in bit/s, between 150 kbit/s and 4 Mbit/s.
func DefaultBitrate(width, height int, rate float64) int {
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
func (e *h264Encoder) encode(p *image.YCbCr, _ time.Time, key bool) ([]byte, error) {
	if key {
		forced, ok := e.Controller().(codec.KeyFrameController)
		if !ok {
			return nil, errors.New("this encoder makes no key frames on request")
		}
		if err := forced.ForceKeyFrame(); err != nil {
			return nil, err
		}
	}
	e.next = p
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

// NewDecoder is a decoder.NewFunc. Its error says which build has the decoder.
func NewDecoder(mime string) (decoder.Decoder, error) {
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
		for y := range plane.height {
			copy(plane.data[y*plane.stride:][:plane.w], src[y*strides[i]:])
		}
	}
	return to, nil
}

//go:build linux && cgo

package device

import (
	"errors"
	"image"
	"math"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/codec/openh264"
	"github.com/pion/mediadevices/pkg/prop"
)

// h264Encoder is OpenH264 by mediadevices. It is deliberately not x264: both of mediadevices' define the same symbols,
// and x264 would put the whole program under the GPL. One goroutine uses all of it, since its setters take no lock.
type h264Encoder struct {
	codec.ReadCloser
	next image.Image
}

func newH264(width, height int, rate float64, bitrate int) (pictureEncoder, error) {
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

// encode implements pictureEncoder.
func (e *h264Encoder) encode(p *picture, key bool) ([]byte, error) {
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

// setBitrate implements pictureEncoder.
func (e *h264Encoder) setBitrate(bitrate int) error {
	c, ok := e.Controller().(codec.BitRateController)
	if !ok {
		return errors.New("this encoder cannot change its bitrate")
	}
	return c.SetBitRate(bitrate)
}

// close implements pictureEncoder.
func (e *h264Encoder) close() { _ = e.Close() } // gives memory back, no more

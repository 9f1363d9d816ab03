package source

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"parley/media"

	"github.com/pion/webrtc/v4"
)

// What the test picture is unless told otherwise, in pixels and frames a second.
const (
	TestWidth     = 320
	TestHeight    = 240
	TestFrameRate = 15
)

const (
	defaultWidth     = TestWidth
	defaultHeight    = TestHeight
	defaultFrameRate = TestFrameRate
)

// testVideo is the source "test": a live test card, each frame a VP8 key frame.
type testVideo struct {
	*track
	card    *Card
	encoder *vp8Encoder
	rate    float64
	origin  *Origin
	wish    atomic.Int64 // bit/s that the network carries, 0 while that is not known
}

func newTestVideo(o VideoOptions) (*testVideo, error) {
	width, height, rate := o.Width, o.Height, o.FrameRate
	if width == 0 && height == 0 {
		width, height = defaultWidth, defaultHeight
	}
	card, err := NewCard(width, height)
	if err != nil {
		return nil, err
	}
	if rate == 0 {
		rate = defaultFrameRate
	}
	if o.Bitrate < 0 {
		return nil, &media.SpecError{Spec: fmt.Sprintf("video bitrate %d", o.Bitrate), Reason: "it cannot be negative"}
	}
	encoder, err := newVP8Encoder(o.Bitrate, rate)
	if err != nil {
		return nil, err
	}
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: media.VideoClockRate}
	t := newTrack(codec, o.StreamID, newPayloader(codec.MimeType))
	t.EncodedBy("parley")
	return &testVideo{
		track:   t,
		card:    card,
		encoder: encoder,
		rate:    rate,
		origin:  originOf(o.Origin),
	}, nil
}

// Run draws the picture whose turn it is: when the machine is too slow, pictures are left out rather than late. The
// frame number counts the schedule, so that numbers missing at the other end were either left out or lost.
func (v *testVideo) Run(ctx context.Context) error {
	p := newPacer()
	defer p.stop()
	p.start = v.origin.Time()
	for frame := uint32(p.elapsed().Seconds() * v.rate); p.wait(ctx, v.at(frame)); frame++ {
		if due := uint32(p.elapsed().Seconds() * v.rate); due > frame {
			frame = due
		}
		at := v.at(frame)
		if frame%v.every() != 0 {
			continue
		}
		data, err := v.encoder.encode(v.card.Paint(frame, at, p.start.Add(at)))
		if err != nil {
			return err
		}
		v.origin.sends(frame)
		v.write(data, uint64(float64(frame)*media.VideoClockRate/v.rate))
	}
	return nil
}

// SetBitrate is how much may be sent, in bit/s: the picture gets coarser, and where that is not enough, rarer.
func (v *testVideo) SetBitrate(bitrate int) { v.wish.Store(int64(bitrate)) }

// every tells how many frames one is sent of, and has the encoder keep what may be sent.
func (v *testVideo) every() uint32 {
	wish := float64(v.wish.Load())
	every := uint32(1)
	for ; wish > 0 && every < uint32(v.rate) && wish/8*float64(every)/v.rate < v.encoder.least(v.card.img.Rect); every++ {
	}
	v.encoder.limit(int(wish / 8 * float64(every) / v.rate))
	return every
}

// at is the time of a frame after the start.
func (v *testVideo) at(frame uint32) time.Duration {
	return time.Duration(float64(frame) / v.rate * float64(time.Second))
}

// Close implements Source.
func (v *testVideo) Close() error { return nil }

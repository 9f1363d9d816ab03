package source

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"parley/media"
	"parley/media/localtrack"
	"parley/media/testsignal"

	"github.com/pion/webrtc/v4"
)

// testVideo is the source "test": the live test video, each frame a VP8 key frame.
type testVideo struct {
	*localtrack.Track
	pattern *testsignal.Pattern
	encoder *testsignal.VP8Encoder
	rate    float64
	epoch   *testsignal.Epoch
	wish    atomic.Int64 // bit/s that the network carries, 0 while that is not known
}

func newTestVideo(o VideoOptions) (*testVideo, error) {
	width, height, rate := o.Width, o.Height, o.FrameRate
	if width == 0 && height == 0 {
		width, height = testsignal.DefaultWidth, testsignal.DefaultHeight
	}
	pattern, err := testsignal.NewPattern(width, height)
	if err != nil {
		return nil, err
	}
	if rate == 0 {
		rate = testsignal.DefaultFrameRate
	}
	if o.Bitrate < 0 {
		return nil, &media.SpecError{Spec: fmt.Sprintf("video bitrate %d", o.Bitrate), Reason: "it cannot be negative"}
	}
	encoder, err := testsignal.NewVP8Encoder(o.Bitrate, rate)
	if err != nil {
		return nil, err
	}
	t := localtrack.New(localtrack.Capability(webrtc.MimeTypeVP8), o.StreamID, o.Logger)
	t.SetEncoder("parley")
	return &testVideo{
		Track:   t,
		pattern: pattern,
		encoder: encoder,
		rate:    rate,
		epoch:   cmp.Or(o.Epoch, &testsignal.Epoch{}),
	}, nil
}

// Run draws the picture whose turn it is: when the machine is too slow, pictures are left out rather than late. The
// frame number counts the schedule, so that numbers missing at the other end were either left out or lost.
func (v *testVideo) Run(ctx context.Context) error {
	p := newPacer()
	defer p.stop()
	p.start = v.epoch.Time()
	for frame := uint32(p.elapsed().Seconds() * v.rate); p.wait(ctx, v.at(frame)); frame++ {
		if due := uint32(p.elapsed().Seconds() * v.rate); due > frame {
			frame = due
		}
		at := v.at(frame)
		if frame%v.every() != 0 {
			continue
		}
		data, err := v.encoder.Encode(v.pattern.Render(frame, at, p.start.Add(at)))
		if err != nil {
			return err
		}
		v.epoch.MarkSent(frame)
		v.Write(data, uint64(float64(frame)*media.VideoClockRate/v.rate))
	}
	return nil
}

// SetBitrate is how much may be sent, in bit/s: the picture gets coarser, and where that is not enough, rarer.
func (v *testVideo) SetBitrate(bitrate int) { v.wish.Store(int64(bitrate)) }

// every tells how many frames one is sent of, and has the encoder keep what may be sent.
func (v *testVideo) every() uint32 {
	wish := float64(v.wish.Load())
	every := uint32(1)
	for ; wish > 0 && every < uint32(v.rate) && wish/8*float64(every)/v.rate < testsignal.MinFrameSize(v.pattern.Bounds()); every++ {
	}
	v.encoder.SetMaxFrameSize(int(wish / 8 * float64(every) / v.rate))
	return every
}

// at is the time of a frame after the start.
func (v *testVideo) at(frame uint32) time.Duration {
	return time.Duration(float64(frame) / v.rate * float64(time.Second))
}

// Close implements Source.
func (v *testVideo) Close() error { return nil }

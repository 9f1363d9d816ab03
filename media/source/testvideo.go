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

// testVideo is the source "test": the test pattern as VP8 key frames.
type testVideo struct {
	*localtrack.Track
	pattern *testsignal.Pattern
	encoder *testsignal.VP8Encoder
	rate    float64
	epoch   *testsignal.Epoch
	bitrate atomic.Int64 // maximum in bit/s, 0 for none
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
		return nil, &media.SpecError{Spec: fmt.Sprintf("video bitrate %d", o.Bitrate), Reason: "want 0 or more bit/s"}
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

// Run renders and sends the frame that is due. When the machine is too slow, frames are dropped
// rather than late. The frame number counts the schedule, so that a number that the peer misses was
// either dropped or lost.
func (v *testVideo) Run(ctx context.Context) error {
	p := newPacer()
	defer p.stop()
	p.start = v.epoch.Time()
	for frame := uint32(p.elapsed().Seconds() * v.rate); p.wait(ctx, v.at(frame)); frame++ {
		if due := uint32(p.elapsed().Seconds() * v.rate); due > frame {
			frame = due
		}
		at := v.at(frame)
		if frame%v.frameInterval() != 0 {
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

// SetBitrate sets the maximum bitrate in bit/s. It lowers the quality first, and then the frame
// rate.
func (v *testVideo) SetBitrate(bitrate int) { v.bitrate.Store(int64(bitrate)) }

// frameInterval returns n if each n-th frame is to be sent to keep the maximum bitrate, and limits
// the encoder to it.
func (v *testVideo) frameInterval() uint32 {
	bitrate := float64(v.bitrate.Load())
	n := uint32(1)
	for ; bitrate > 0 && n < uint32(v.rate) && bitrate/8*float64(n)/v.rate < testsignal.MinFrameSize(v.pattern.Bounds()); n++ {
	}
	v.encoder.SetMaxFrameSize(int(bitrate / 8 * float64(n) / v.rate))
	return n
}

// at returns the time of a frame since the start.
func (v *testVideo) at(frame uint32) time.Duration {
	return time.Duration(float64(frame) / v.rate * float64(time.Second))
}

// Close implements Source.
func (v *testVideo) Close() error { return nil }

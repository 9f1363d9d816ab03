package source

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"parley/media"
	"parley/media/container/y4m"
	"parley/media/localtrack"
	"parley/media/pixel"

	"github.com/pion/webrtc/v4"
)

// A VideoEncoder encodes raw video of one size. One goroutine uses it.
type VideoEncoder interface {
	// Codec returns the MIME type of the encoded frames.
	Codec() string

	// Encode encodes a frame, 4:2:0 with even sides. at is its time since the first one, and key
	// requests a key frame. The result is valid until the next call, and empty if the encoder drops
	// the frame to keep the bitrate.
	Encode(p *image.YCbCr, at time.Duration, key bool) ([]byte, error)

	// SetBitrate sets the target bitrate in bit/s.
	SetBitrate(bitrate int) error

	Close()
}

// NewVideoEncoder creates an encoder for a size in pixels, a frame rate in frames per second and a
// target bitrate in bit/s, 0 for that of the encoder.
type NewVideoEncoder func(width, height int, rate float64, bitrate int) (VideoEncoder, error)

const defaultRawRate = 30

// rawVideo encodes raw video (Y4M) at its frame rate. Frames are dropped while the encoder is too
// slow.
type rawVideo struct {
	*localtrack.Track
	name    string
	in      input
	reader  *y4m.Reader
	scaler  pixel.Scaler
	size    image.Point // of the encoded frames
	encoder VideoEncoder
	options VideoOptions
	rate    float64 // of the stream, in frames per second
	every   float64 // frames of the stream for one that is sent

	keyDue  atomic.Bool
	bitrate atomic.Int64
	close   sync.Once
	closed  error
}

// openRaw opens a Y4M stream.
func openRaw(name string, in input, r *bufio.Reader, o VideoOptions) (Source, error) {
	reader, err := y4m.NewReader(r)
	if err != nil {
		return nil, err
	}
	if o.NewEncoder == nil {
		return nil, errors.New("raw video needs an encoder, and this build has none")
	}
	width, height := o.Width, o.Height
	if width == 0 || height == 0 {
		width, height = reader.Size()
	}
	width, height = width&^1, height&^1
	if width < 16 || height < 16 || width > 4096 || height > 4096 {
		return nil, &media.SpecError{Spec: fmt.Sprintf("video size %dx%d", width, height), Reason: "want 16x16 to 4096x4096 for raw video"}
	}
	own := cmp.Or(reader.FrameRate(), defaultRawRate)
	rate := own
	if o.FrameRate != 0 {
		rate = min(rate, o.FrameRate)
	}
	encoder, err := o.NewEncoder(width, height, rate, o.Bitrate)
	if err != nil {
		return nil, err
	}
	v := &rawVideo{
		Track: localtrack.New(localtrack.Capability(encoder.Codec()), o.StreamID, o.Logger), name: name, in: in, reader: reader,
		size: image.Pt(width, height), encoder: encoder, options: o, rate: own, every: own / rate,
	}
	v.bitrate.Store(int64(o.Bitrate))
	v.keyDue.Store(true)
	return v, nil
}

// Bind implements webrtc.TrackLocal. A new receiver starts with a key frame.
func (v *rawVideo) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	v.RequestKeyFrame()
	return v.Track.Bind(c)
}

// RequestKeyFrame implements KeyFrameRequester: the next encoded frame is a key frame.
func (v *rawVideo) RequestKeyFrame() { v.keyDue.Store(true) }

// SetBitrate sets the target bitrate in bit/s from the next frame on. It never blocks.
func (v *rawVideo) SetBitrate(bitrate int) {
	if bitrate > 0 {
		v.bitrate.Store(int64(bitrate))
	}
}

// Run implements Source.
func (v *rawVideo) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, v.in.cancel)
	defer stop()
	err := v.send(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil || media.IsTruncated(err) {
		if cause := v.in.exitErr(); cause != nil {
			err = cause
		}
	}
	return media.WrapFileError(v.name, err)
}

func (v *rawVideo) send(ctx context.Context) error {
	p := newPacer()
	defer p.stop()
	bitrate := v.bitrate.Load()
	begun := 0 // frames of the stream when it started again
	seekable, _ := v.in.readerAt()
	admitted := 0           // the latest frame of a pipe that was admitted
	var shift time.Duration // by which the schedule of a file has moved
	for sent, total := 0, 0; ; total++ {
		frame, err := v.reader.Next()
		if errors.Is(err, io.EOF) && v.options.Loop && total > begun {
			begun = total
			if err = v.rewind(); err == nil {
				frame, err = v.reader.Next()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if float64(total) < float64(sent)*v.every {
			continue
		}
		sent = int(float64(total)/v.every) + 1
		at := shift + time.Duration(float64(total)/v.rate*float64(time.Second))
		ok := false
		if seekable == nil {
			at, ok = p.admit(ctx, time.Duration(float64(total-admitted)/v.rate*float64(time.Second)))
			admitted = total
		} else {
			if late := p.elapsed() - at; late > maxFileLag {
				shift, at = shift+late, at+late
			}
			ok = p.wait(ctx, at)
		}
		if !ok {
			return nil
		}
		if now := v.bitrate.Load(); now != bitrate {
			bitrate = now
			if err := v.encoder.SetBitrate(int(now)); err != nil {
				return err
			}
		}
		took, err := v.encode(frame, at)
		if err != nil {
			return err
		}
		// Frames that were due while the encoder was busy are dropped.
		sent += int(took.Seconds() * v.rate / v.every)
	}
}

// encode encodes and sends a frame, unless no sender is bound or the network is congested.
func (v *rawVideo) encode(frame *image.YCbCr, at time.Duration) (time.Duration, error) {
	if !v.Bound() || v.Congested() {
		return 0, nil
	}
	begin := time.Now()
	key := v.keyDue.Swap(false)
	data, err := v.encoder.Encode(v.scaler.Scale(frame, v.size.X, v.size.Y), at, key)
	if err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if len(data) == 0 {
		if key {
			v.RequestKeyFrame() // the request is still open
		}
		return took, nil
	}
	v.WriteFrame(data, at)
	return took, nil
}

func (v *rawVideo) rewind() error {
	if err := v.in.exitErr(); err != nil {
		return err
	}
	if err := v.in.rewind(); err != nil {
		return err
	}
	again, err := y4m.NewReader(bufio.NewReaderSize(v.in, readBufferSize))
	if err != nil {
		return err
	}
	v.reader = again
	return nil
}

// Close implements Source.
func (v *rawVideo) Close() error {
	v.close.Do(func() {
		v.encoder.Close()
		v.closed = media.WrapFileError(v.name, v.in.Close())
	})
	return v.closed
}

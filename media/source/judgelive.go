package source

import (
	"image"
	"time"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// Pictures is a sink of a Judge for the video of a call. It decodes on the goroutine of the Viewer that it returns as
// well, which is to be run. since is what times are counted from.
func (j *Judge) Pictures(since time.Time, o ViewerOptions) (media.FrameSink, *Viewer) {
	newDecoder := o.NewDecoder
	o.NewDecoder = func(mime string) (Decoder, error) { return newSimplest(mime, newDecoder) }
	o.Show = func(image.Image) {}
	o.Judge = func(img image.Image, came time.Time) { j.Picture(img, came.Sub(since)) }
	v := NewViewer(o)
	return &stamped{v}, v
}

// Sounds is a sink of a Judge for the audio of a call.
func (j *Judge) Sounds(since time.Time) media.FrameSink { return &judgedSound{j, since} }

type judgedSound struct {
	judge *Judge
	since time.Time
}

// WriteFrame implements media.FrameSink.
func (s *judgedSound) WriteFrame(f media.Frame) error {
	if f.Codec == webrtc.MimeTypeOpus {
		s.judge.Sound(f.Data, f.Timestamp, f.Arrival.Sub(s.since))
	}
	return nil
}

// stamped notes when a frame was complete, in place of when it began to arrive.
type stamped struct{ to media.FrameSink }

// WriteFrame implements media.FrameSink.
func (s *stamped) WriteFrame(f media.Frame) error {
	f.Arrival = time.Now()
	return s.to.WriteFrame(f)
}

// simplest decodes key frames of VP8 by itself, as an echo of the test picture has no others, and all others by a real
// decoder once there are some: that may be a process of its own.
type simplest struct {
	keys, all Decoder
	make      func() (Decoder, error)
}

func newSimplest(mime string, otherwise NewDecoder) (Decoder, error) {
	if mime != webrtc.MimeTypeVP8 {
		return otherwise(mime)
	}
	return &simplest{keys: keyFrameDecoder{}, make: func() (Decoder, error) { return otherwise(mime) }}, nil
}

// Decode implements Decoder.
func (s *simplest) Decode(frame []byte) (image.Image, error) {
	if s.all == nil {
		if codec.ParseVP8(frame).Key {
			return s.keys.Decode(frame)
		}
		var err error
		if s.all, err = s.make(); err != nil {
			return nil, err
		}
	}
	return s.all.Decode(frame) // which says so if it wants a key frame first
}

// KeyFramesOnly implements Decoder.
func (s *simplest) KeyFramesOnly() bool { return s.all != nil && s.all.KeyFramesOnly() }

// Close implements Decoder.
func (s *simplest) Close() {
	if s.all != nil {
		s.all.Close()
	}
}

package source

import (
	"image"
	"time"

	"parley/media"
	"parley/media/decoder"

	"github.com/pion/webrtc/v4"
)

// Pictures is a sink of a Judge for the video of a call. It decodes on the goroutine of the Viewer that it returns as
// well, which is to be run. since is what times are counted from.
func (j *Judge) Pictures(since time.Time, o decoder.ViewerOptions) (media.FrameSink, *decoder.Viewer) {
	o.NewDecoder = decoder.KeyFramesFirst(o.NewDecoder)
	o.Show = func(image.Image) {}
	o.OnFrame = func(img image.Image, came time.Time) { j.Picture(img, came.Sub(since)) }
	v := decoder.NewViewer(o)
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

package media

import (
	"time"

	"github.com/pion/webrtc/v4"
)

// Frame is one complete frame of video, or one packet of audio.
type Frame struct {
	// Kind and Codec (a MIME type) of the track.
	Kind  webrtc.RTPCodecType
	Codec string
	// SSRC of the sender.
	SSRC uint32
	// Data is the encoded frame: for H264 an access unit with start codes, for AV1 a sequence of
	// OBUs with size fields and without temporal delimiter. Data is valid until WriteFrame returns.
	Data []byte
	// Timestamp is the RTP timestamp in units of ClockRate, which is in Hz.
	Timestamp, ClockRate uint32
	// Arrival is the time at which the first packet arrived.
	Arrival time.Time
	// Captured is the capture time on the sender's clock according to its sender reports, zero
	// until the first report. Only differences between tracks of one sender are meaningful.
	Captured time.Time
	// Key reports whether the frame can be decoded without earlier ones. Key is always true for
	// audio.
	Key bool
	// Width and Height of a key frame in pixels, 0 if they could not be read.
	Width, Height int
	// Rotation is the clockwise rotation in degrees that displays the video upright: 0, 90, 180 or
	// 270. Width and Height are those before the rotation.
	Rotation int
	// Gap reports whether frames, or parts of frames, before this one were lost. Frames that depend
	// on them cannot be decoded until the next key frame.
	Gap bool
}

// A FrameSink takes the frames of one track, in order.
type FrameSink interface {
	// WriteFrame must not keep f.Data. The track waits for it. After an error the sink gets no more
	// frames; the track continues.
	WriteFrame(f Frame) error
}

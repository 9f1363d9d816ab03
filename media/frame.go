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
	// Data is the frame as the codec has it: for H264 a byte stream with start codes, for AV1 a sequence of OBUs with
	// sizes and without temporal delimiters. It is valid until WriteFrame returns.
	Data []byte
	// Timestamp in units of ClockRate.
	Timestamp, ClockRate uint32
	// Arrival of the first packet.
	Arrival time.Time
	// Captured is the moment on the sender's clock, by its sender reports; zero until the first report. Only
	// differences between tracks of one sender mean something.
	Captured time.Time
	// Key says that the frame stands on its own; always true for audio.
	Key bool
	// Width and Height of a key frame, 0 where they could not be read.
	Width, Height int
	// Rotation is the clockwise rotation in degrees that displays the video upright: 0, 90, 180 or 270. Width and Height
	// are those before the rotation.
	Rotation int
	// Gap says that frames, or parts of frames, between this one and the one before were lost: what builds upon
	// them cannot be decoded until the next key frame.
	Gap bool
}

// A FrameSink takes the frames of one track, in order.
type FrameSink interface {
	// WriteFrame must not keep f.Data. It holds up the track while it runs. An error ends what goes to this sink,
	// not the track.
	WriteFrame(f Frame) error
}

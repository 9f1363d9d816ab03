package media

import (
	"bufio"
	"io"

	"github.com/pion/webrtc/v4"
)

// Input is a stream that a demuxer reads.
type Input struct {
	// Reader reads the stream from its start.
	Reader *bufio.Reader
	// ReaderAt reads at any offset of the Size bytes of a regular file. ReaderAt is nil for a
	// stream that can only be read from front to back.
	ReaderAt io.ReaderAt
	Size     int64
	// FrameRate in frames per second overrides the rate of a stream without timestamps (H.264 Annex
	// B); 0 keeps it.
	FrameRate float64
	// Warn reports what is odd in the stream. Warn is never nil.
	Warn func(text string)
}

// Track describes one track of a stream.
type Track struct {
	// Codec is the codec of the track, with its clock rate and format parameters. MimeType is the
	// kind, as in "video/", if the codec is unknown.
	Codec webrtc.RTPCodecCapability
	// Rotation is the clockwise rotation in degrees that displays the video upright: 0, 90, 180 or
	// 270.
	Rotation int
	// Untimed reports that Sample.Time is nominal: a stream that arrives without timestamps, such
	// as H.264 Annex B from a pipe, is given those of its frame rate. The time of arrival is nearer
	// to the time of capture.
	Untimed bool
	// Err says why the track cannot be sent. Err is nil for a track that can.
	Err error
}

// Sample is one encoded frame of a track.
type Sample struct {
	// Track is the index of the track in Demuxer.Tracks.
	Track int
	// Data is valid until the next call of Demuxer.Next: for H.264 an access unit with start codes,
	// for AV1 a temporal unit without temporal delimiter.
	Data []byte
	// Time since the start of the stream and Duration until the next sample, as far as the stream
	// has them, in units of the track's clock rate.
	Time, Duration uint64
}

// A Demuxer reads the samples of all tracks of a stream. One goroutine uses it.
type Demuxer interface {
	// Tracks returns all tracks, in the order of the stream.
	Tracks() []Track
	// Select limits Next to the tracks with these indexes, whose Err is nil. Select is called once,
	// before Next. The error says why a selected track cannot be sent, where that shows in its
	// first samples only, such as B-frames.
	Select(tracks ...int) error
	// Next returns the next sample of the selected tracks, in the order of the stream, and io.EOF
	// after the last one.
	Next() (Sample, error)
}

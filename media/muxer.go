package media

import (
	"io"
	"time"
)

// Output is the file that a muxer writes.
type Output interface {
	// Write appends all of data or nothing.
	io.Writer
	// Size returns the number of bytes written so far.
	Size() int64
	// Seekable reports whether Patch can change what was written: a FIFO is not seekable.
	Seekable() bool
	// Patch overwrites bytes at an offset below Size. It does nothing if the output is not
	// seekable.
	Patch(offset int64, data []byte) error
}

// OutputTrack describes one track of a file that a muxer writes.
type OutputTrack struct {
	// MIME is the MIME type of the codec.
	MIME string
	// First is the first frame of the track. For video it is a key frame, whose headers have the
	// size and the codec configuration. Its Rotation is that of the track, where the container has
	// one for a track.
	First Frame
}

// A Muxer writes the frames of a fixed set of tracks to an Output. The functions that create one
// take the Output and the tracks, and write the header. One goroutine uses it.
type Muxer interface {
	// WriteFrame appends a frame of the track with this index. at is its time since the first frame
	// of the file; frames come in order of time, or nearly so. The Muxer does not keep f.Data.
	WriteFrame(track int, f Frame, at time.Duration) error
	// Finish writes what is pending, the index, and the duration of the whole.
	Finish(duration time.Duration) error
}

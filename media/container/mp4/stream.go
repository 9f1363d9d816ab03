package mp4

import (
	"errors"
	"io"
	"slices"

	"parley/media"
)

const (
	// maxKept is how much of a pipe is kept in memory, in bytes: 10 s of 50 Mbit/s.
	maxKept = 64 << 20
	// unknownSize is the size of a pipe. The sum of an offset below it and of the size of a box
	// fits into an int64.
	unknownSize = 1 << 62
)

// errOrder is the error of an MP4 file that cannot be read from a pipe.
var errOrder = errors.New("an MP4 file from a pipe must have its index (moov) before its samples, or at most 64 MB after them, and its tracks " +
	"interleaved; name the file, or convert it: ffmpeg -re -i FILE -c copy -movflags frag_keyframe+empty_moov+default_base_moof -f mp4 -")

// stream makes a pipe an io.ReaderAt. It keeps the bytes from an offset that the demuxer sets,
// because a demuxer reads the samples of the tracks by time, and a file has them by track in each
// fragment or chunk.
type stream struct {
	r     io.Reader
	keep  func() int64 // returns the offset before which no later call reads
	data  []byte       // the bytes that are kept
	start int64        // offset of data in the stream
}

// ReadAt implements io.ReaderAt. The error is errOrder for bytes that are not kept any more, or
// that come too far after those to keep.
func (s *stream) ReadAt(p []byte, offset int64) (int, error) {
	keep := min(offset, s.keep())
	if offset < s.start || offset+int64(len(p))-max(keep, s.start) > maxKept {
		return 0, errOrder
	}
	if err := s.drop(keep); err != nil {
		return 0, err
	}
	skip := int(offset - s.start)
	read := len(s.data)
	if missing := skip + len(p) - read; missing > 0 {
		s.data = slices.Grow(s.data, missing)[:read+missing]
		n, err := io.ReadFull(s.r, s.data[read:])
		s.data = s.data[:read+n]
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
	}
	n := copy(p, s.data[min(skip, len(s.data)):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// drop forgets the bytes before an offset, and skips those that were not read.
func (s *stream) drop(offset int64) error {
	n := min(max(offset-s.start, 0), int64(len(s.data)))
	s.data, s.start = s.data[n:], s.start+n
	if offset <= s.start {
		return nil
	}
	skipped, err := io.CopyN(io.Discard, s.r, offset-s.start)
	s.start += skipped
	return err
}

// readError is media.ReadError, except that errOrder stays as it is.
func readError(part string, err error) error {
	if errors.Is(err, errOrder) {
		return err
	}
	return media.ReadError(part, err)
}

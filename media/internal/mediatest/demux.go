package mediatest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"parley/media"
)

// Open is the type of the functions that open a container.
type Open = func(in media.Input) (media.Demuxer, error)

// input returns the input of a regular file, or of a pipe.
func input(data []byte, seekable bool) media.Input {
	in := media.Input{Reader: bufio.NewReader(bytes.NewReader(data)), Warn: func(string) {}}
	if seekable {
		in.ReaderAt, in.Size = bytes.NewReader(data), int64(len(data))
	}
	return in
}

// Demux returns the tracks of a regular file, and all samples of those that can be sent.
func Demux(t testing.TB, open Open, data []byte) ([]media.Track, []media.Sample) {
	t.Helper()
	tracks, samples, err := TryDemux(open, data, true)
	if err != nil {
		t.Fatal(err)
	}
	return tracks, samples
}

// TryDemux is Demux for a file that may be broken, or is read from a pipe: it returns the samples
// up to the first error.
func TryDemux(open Open, data []byte, seekable bool) ([]media.Track, []media.Sample, error) {
	return Read(open, input(data, seekable))
}

// Read returns the tracks of a stream, all samples of those that can be sent, and the error that
// ended it unless it is io.EOF.
func Read(open Open, in media.Input) (tracks []media.Track, samples []media.Sample, err error) {
	d, err := open(in)
	if err != nil {
		return nil, nil, err
	}
	tracks = d.Tracks()
	var selected []int
	for i, track := range tracks {
		if track.Err == nil {
			selected = append(selected, i)
		}
	}
	if err := d.Select(selected...); err != nil {
		return tracks, nil, err
	}
	for {
		s, err := d.Next()
		if errors.Is(err, io.EOF) {
			return tracks, samples, nil
		}
		if err != nil {
			return tracks, samples, err
		}
		s.Data = bytes.Clone(s.Data)
		samples = append(samples, s)
	}
}

// FuzzDemuxer reads data as a regular file and as a pipe. The test fails if an error has no text, a
// sample is empty, the time of a track goes back, or the number of samples is out of proportion to
// the size of data.
func FuzzDemuxer(t *testing.T, open Open, data []byte) {
	for _, seekable := range []bool{true, false} {
		tracks, samples, err := TryDemux(open, data, seekable)
		if err != nil && err.Error() == "" {
			t.Fatal("an error without text")
		}
		if len(samples) > 2*len(data)+1<<16 {
			t.Fatalf("%d samples of %d bytes", len(samples), len(data))
		}
		last := make([]uint64, len(tracks))
		for i, s := range samples {
			if len(s.Data) == 0 || s.Time < last[s.Track] {
				t.Fatalf("sample %d of track %d has %d bytes at %d after %d", i, s.Track, len(s.Data), s.Time, last[s.Track])
			}
			last[s.Track] = s.Time
		}
	}
}

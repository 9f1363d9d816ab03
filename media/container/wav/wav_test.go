package wav

import (
	"bufio"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"parley/media"
)

// open reads the header of a file, as a pipe.
func open(r io.Reader) (*Reader, error) {
	return NewReader(media.Input{Reader: bufio.NewReader(r), Warn: func(string) {}})
}

// readAll returns all samples and the error that is not io.EOF.
func readAll(w *Reader) (all []float32, err error) {
	for {
		all, err = w.Append(all, 960)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// file returns a file without extensible format up to its fmt chunk, then more.
func file(format, channels, rate, bits int, more string) string {
	return "RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + le(format, 2) + le(channels, 2) + le(rate, 4) + le(0, 4) + le(0, 2) + le(bits, 2) + more
}

// le returns a little-endian number of so many bytes.
func le(v, bytes int) string {
	var b strings.Builder
	for range bytes {
		b.WriteByte(byte(v))
		v >>= 8
	}
	return b.String()
}

func TestInvalidHeader(t *testing.T) {
	for want, data := range map[string]string{
		"the file is cut off in the WAV header": file(1, 1, 48000, 16, ""),
		"read the WAV header: 0 channels":       file(1, 0, 48000, 16, "data\x00\x00\x00\x00"),
		"65535 channels":                        file(1, 65535, 48000, 16, "data\x00\x00\x00\x00"),
		"sample rate of 1 Hz":                   file(1, 1, 1, 16, "data\x00\x00\x00\x00"),
		"format 85 with 0 bits":                 file(85, 2, 44100, 0, "data\x00\x00\x00\x00"),
		"format 1 with 4096 bits":               file(1, 2, 44100, 4096, "data\x00\x00\x00\x00"),
		"no fmt chunk before the samples":       "RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00",
		"invalid fmt chunk: 4294967296 bytes":   "RIFF\x00\x00\x00\x00WAVEfmt \xFF\xFF\xFF\xFF",
	} {
		if _, err := open(strings.NewReader(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// TestDataSize reads up to the end of the data chunk, or to the end of a file whose data chunk has
// no size or is longer.
func TestDataSize(t *testing.T) {
	tail := "LIST" + le(40, 4) + strings.Repeat("noise", 8)
	samples := strings.Repeat("\x00\x10", 2000)
	ds64 := func(size int) string { return "ds64" + le(28, 4) + le(0, 8) + le(size, 8) + le(0, 8) + le(0, 4) }
	header := file(1, 1, 48000, 16, "")
	rf64 := func(size int) string {
		return "RF64\xFF\xFF\xFF\xFFWAVE" + ds64(size) + header[12:] + "data\xFF\xFF\xFF\xFF" + samples
	}
	for name, test := range map[string]struct {
		data string
		want int
	}{
		"trailing chunk":              {data: header + "data" + le(4000, 4) + samples + tail, want: 2000},
		"RF64, trailing chunk":        {data: rf64(4000) + tail, want: 2000},
		"BW64, trailing chunk":        {data: "BW64" + rf64(4000)[4:] + tail, want: 2000},
		"RF64 of a pipe":              {data: rf64(0), want: 2000},
		"longer than the file":        {data: header + "data" + le(65535, 4) + samples, want: 2000},
		"size of ffmpeg on a pipe":    {data: header + "data\xFF\xFF\xFF\xFF" + samples, want: 2000},
		"size of sox on a pipe":       {data: header + "data" + le(0x7FFFF000, 4) + samples, want: 2000},
		"size of GStreamer on a pipe": {data: header + "data" + le(0, 4) + samples, want: 2000},
		"chunk of 4 GiB in a header":  {data: header + "junk\xFF\xFF\xFF\xFF" + "data" + le(4000, 4) + samples, want: -1},
	} {
		w, err := open(strings.NewReader(test.data))
		if test.want < 0 {
			if err == nil || !strings.Contains(err.Error(), "the file is cut off in the WAV header") {
				t.Errorf("%s: error is %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if all, err := readAll(w); len(all) != test.want || err != nil {
			t.Errorf("%s: %d samples, want %d; error is %v", name, len(all), test.want, err)
		}
	}
}

// TestLongFile takes a size of over 2 GiB, which programs write to a pipe for an unknown one, for
// what it is in a file that is so long.
func TestLongFile(t *testing.T) {
	data := file(1, 1, 48000, 16, "data"+le(0x80000000, 4))
	for size, want := range map[int64]uint64{0x80000000 + 100: 0x80000000, 0x80000000: math.MaxUint64} {
		w, err := NewReader(media.Input{Reader: bufio.NewReader(strings.NewReader(data)), ReaderAt: strings.NewReader(data), Size: size})
		if err != nil || w.left != want {
			t.Errorf("%d bytes of samples, want %d; error is %v", w.left, want, err)
		}
	}
}

// TestBrokenPipe returns the samples before the error of a pipe.
func TestBrokenPipe(t *testing.T) {
	from, to := io.Pipe()
	go func() {
		_, _ = io.WriteString(to, file(1, 1, 48000, 16, "data\xFF\xFF\xFF\xFF"))
		_, _ = to.Write(make([]byte, 5000))
		_ = to.CloseWithError(errors.New("gone"))
	}()
	w, err := open(from)
	if err != nil {
		t.Fatal(err)
	}
	all, err := readAll(w)
	if len(all) != 2500 || err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%d samples, then %v", len(all), err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(file(1, 1, 8000, 16, "data\x08\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08")))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := open(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		all, err := readAll(w)
		if err != nil || len(all) > len(data) || len(all)%w.Channels() != 0 {
			t.Errorf("%d samples of %d bytes, %v", len(all), len(data), err)
		}
		for _, v := range all {
			if !(v >= -1 && v <= 1) {
				t.Fatalf("a sample of %v", v)
			}
		}
	})
}

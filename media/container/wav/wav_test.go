package wav

import (
	"bufio"
	"errors"
	"io"
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
		"has 0 channels":                        file(1, 0, 48000, 16, "data\x00\x00\x00\x00"),
		"has 65535 channels":                    file(1, 65535, 48000, 16, "data\x00\x00\x00\x00"),
		"has 1 samples a second":                file(1, 1, 1, 16, "data\x00\x00\x00\x00"),
		"of format 85 with 0 bits":              file(85, 2, 44100, 0, "data\x00\x00\x00\x00"),
		"of format 1 with 4096 bits":            file(1, 2, 44100, 4096, "data\x00\x00\x00\x00"),
		"does not say what its samples are":     "RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00",
		"says 4294967295 bytes for its format":  "RIFF\x00\x00\x00\x00WAVEfmt \xFF\xFF\xFF\xFF",
	} {
		if _, err := open(strings.NewReader(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// TestDataSize reads a file that is shorter than its data chunk, or whose data chunk has no size, up to its end.
func TestDataSize(t *testing.T) {
	for _, size := range []string{"\xFF\xFF\x00\x00", "\xFF\xFF\xFF\xFF", "\x00\x00\x00\x00"} {
		w, err := open(strings.NewReader(file(1, 1, 48000, 16, "data"+size+strings.Repeat("\x00\x10", 2000))))
		if err != nil {
			t.Fatal(err)
		}
		if all, err := readAll(w); len(all) != 2000 || err != nil {
			t.Errorf("%d samples, then %v", len(all), err)
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
	if len(all) != 1920 || err == nil || !strings.Contains(err.Error(), "gone") {
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

package stdio

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// blockingReader is a reader without data, which is no file.
type blockingReader struct {
	entered chan struct{} // closed by the first read
	release chan struct{}
}

func (b *blockingReader) Read([]byte) (int, error) {
	close(b.entered)
	<-b.release
	return 0, io.EOF
}

func TestCancelReaderReadsAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "from a file", os.DevNull: ""} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, stop, err := NewCancelReader(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); string(got) != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
		stop()
	}
	pipe, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	r, stop, err := NewCancelReader(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := in.WriteString("from a pipe"); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "from a pipe" || err != nil {
		t.Errorf("a pipe: got %q, %v", got, err)
	}
}

func TestCancelReaderStopsBlockedRead(t *testing.T) {
	pipe, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer in.Close()
	blocking := &blockingReader{entered: make(chan struct{}), release: make(chan struct{})}
	defer close(blocking.release)
	for name, source := range map[string]io.Reader{"pipe": pipe, "other reader": blocking} {
		r, stop, err := NewCancelReader(source)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := r.Read(make([]byte, 1))
			done <- err
		}()
		if source == blocking {
			<-blocking.entered
		}
		stop()
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want io.EOF", name, err)
		}
	}
}

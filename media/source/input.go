package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"parley/media"

	"golang.org/x/term"
)

// input is the byte stream of a source: a file, standard input or a program. One goroutine reads
// it.
type input interface {
	io.Reader
	// readerAt returns a reader for any offset and the size in bytes, nil for a stream that can
	// only be read once.
	readerAt() (io.ReaderAt, int64)
	// rewind starts the stream again.
	rewind() error
	// cancel makes the current and all later reads return. Any goroutine may call it.
	cancel()
	// exitErr returns, after the last byte was read, the error of the program that wrote the
	// stream.
	exitErr() error
	Close() error
}

const stdinName = "standard input"

// openInput opens "-", "exec:COMMAND" or the path of a file. name identifies the input in errors.
func openInput(spec string, stdin io.Reader, loop bool) (in input, name string, err error) {
	command, isProgram := strings.CutPrefix(spec, "exec:")
	switch {
	case spec == "-" && loop:
		return nil, stdinName, &media.SpecError{Spec: spec, Reason: "standard input cannot be looped; want a file or a program"}
	case spec == "-":
		in, err = openStdin(stdin)
		return in, stdinName, err
	case isProgram && strings.TrimSpace(command) == "":
		return nil, spec, &media.SpecError{Spec: spec, Reason: "want a command, such as 'exec:ffmpeg -re -i film.mkv -c:v libvpx -f ivf -'"}
	case isProgram:
		in, err = startProgram(command)
		return in, spec, err
	}
	in, err = openPath(spec)
	return in, spec, err
}

// fileInput is a regular file, opened by its path or redirected to standard input.
type fileInput struct {
	*os.File
	size int64
	keep bool // standard input stays open
}

func openPath(path string) (input, error) {
	flags := os.O_RDONLY
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		flags |= syscall.O_NONBLOCK // otherwise it would wait here for a writer, and could not be canceled
	}
	file, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a folder; want a media file")
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	if info.Mode()&fs.ModeNamedPipe != 0 {
		return &pipeInput{Reader: &fifoReader{file: file}, stop: deadlineOf(file), close: file.Close}, nil
	}
	if !info.Mode().IsRegular() {
		return &pipeInput{Reader: file, stop: deadlineOf(file), close: file.Close}, nil
	}
	return &fileInput{File: file, size: info.Size()}, nil
}

func (f *fileInput) readerAt() (io.ReaderAt, int64) { return f.File, f.size }
func (f *fileInput) cancel()                        {} // reads of a file do not block
func (f *fileInput) exitErr() error                 { return nil }

func (f *fileInput) rewind() error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind: %w", err)
	}
	return nil
}

func (f *fileInput) Close() error {
	if f.keep {
		return nil
	}
	return f.File.Close()
}

// pipeInput is a stream that can be read once.
type pipeInput struct {
	io.Reader
	stop  func() // makes reads return
	close func() error
}

func (p *pipeInput) readerAt() (io.ReaderAt, int64) { return nil, 0 }
func (p *pipeInput) rewind() error                  { return errors.New("a pipe cannot be read again") }
func (p *pipeInput) cancel()                        { p.stop() }
func (p *pipeInput) exitErr() error                 { return nil }
func (p *pipeInput) Close() error                   { return p.close() }

// writerPause is the time between two looks for the first writer of a FIFO.
const writerPause = 20 * time.Millisecond

// fifoReader reads a FIFO that may not have a writer yet.
type fifoReader struct {
	file  *os.File
	begun bool // there was a writer
}

// Read waits for the first byte. Later the end is that of the last writer.
func (f *fifoReader) Read(p []byte) (int, error) {
	for {
		n, err := f.file.Read(p)
		if f.begun = f.begun || n > 0; f.begun || !errors.Is(err, io.EOF) {
			return n, err
		}
		time.Sleep(writerPause) // reads do not wait for a writer
	}
}

// IsReadOnce reports whether media of a source are lost for the next one that opens it: those of
// standard input, of a program, and of what is not a regular file.
func IsReadOnce(spec string) bool {
	if spec == "-" || strings.HasPrefix(spec, "exec:") {
		return true
	}
	info, err := os.Stat(spec)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// openStdin opens standard input. On Linux a pipe is opened a second time, because reads of
// os.Stdin cannot be canceled.
func openStdin(stdin io.Reader) (input, error) {
	if stdin == nil {
		stdin = os.Stdin
	}
	file, isFile := stdin.(*os.File)
	if !isFile {
		return copied(stdin), nil
	}
	if term.IsTerminal(int(file.Fd())) {
		return nil, errors.New("standard input is a terminal; want a pipe or a file: PROGRAM | parley … --video -")
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return &fileInput{File: file, size: info.Size(), keep: true}, nil
	}
	if file == os.Stdin && runtime.GOOS == "linux" {
		if own, err := os.Open("/dev/stdin"); err == nil {
			if own.SetReadDeadline(time.Time{}) == nil {
				return &pipeInput{Reader: own, stop: deadlineOf(own), close: own.Close}, nil
			}
			_ = own.Close()
		}
	}
	return copied(file), nil
}

func deadlineOf(file *os.File) func() {
	return func() { _ = file.SetReadDeadline(time.Unix(1, 0)) } // files without deadlines do not block
}

// copied returns an input that can be canceled for a reader that cannot. The goroutine that reads
// ends with the reader.
func copied(r io.Reader) *pipeInput {
	from, to := io.Pipe()
	go func() {
		_, err := io.Copy(to, r)
		_ = to.CloseWithError(err)
	}()
	return &pipeInput{
		Reader: from,
		stop:   func() { _ = from.CloseWithError(os.ErrDeadlineExceeded) },
		close:  from.Close,
	}
}

package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"parley/media"

	"golang.org/x/term"
)

// input is where the bytes of a source come from: a file, standard input or a program. One goroutine reads it.
type input interface {
	io.Reader
	// random is for reading anywhere, with the size; nil for what comes only once.
	random() (io.ReaderAt, int64)
	// again starts from the beginning.
	again() error
	// unblock makes a read that waits return, and all after it. It may be called from any goroutine.
	unblock()
	// ended tells, after the last byte has been read, what went wrong where the bytes come from.
	ended() error
	Close() error
}

const stdinName = "standard input"

// openInput opens what spec names: "-", "exec:COMMAND" or the path of a file. name is for errors.
func openInput(spec string, stdin io.Reader, loop bool) (in input, name string, err error) {
	command, isProgram := strings.CutPrefix(spec, "exec:")
	switch {
	case spec == "-" && loop:
		return nil, stdinName, &media.SpecError{Spec: spec, Reason: "what comes on standard input comes once; only a file or a program can be played over and over"}
	case spec == "-":
		in, err = openStdin(stdin)
		return in, stdinName, err
	case isProgram && strings.TrimSpace(command) == "":
		return nil, spec, &media.SpecError{Spec: spec, Reason: "name the program, like 'exec:ffmpeg -re -i film.mkv -c:v libvpx -f ivf -'"}
	case isProgram:
		in, err = startProgram(command)
		return in, spec, err
	}
	in, err = openPath(spec)
	return in, spec, err
}

// fileInput is a file, ours or the one behind standard input.
type fileInput struct {
	*os.File
	size int64
	keep bool // standard input is not ours to close
}

func openPath(path string) (input, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a folder, not a media file")
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return &pipeInput{Reader: file, stop: deadlineOf(file), close: file.Close}, nil
	}
	return &fileInput{File: file, size: info.Size()}, nil
}

func (f *fileInput) random() (io.ReaderAt, int64) { return f.File, f.size }
func (f *fileInput) unblock()                     {} // a file never makes wait
func (f *fileInput) ended() error                 { return nil }

func (f *fileInput) again() error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("start it again: %w", err)
	}
	return nil
}

func (f *fileInput) Close() error {
	if f.keep {
		return nil
	}
	return f.File.Close()
}

// pipeInput is what comes once.
type pipeInput struct {
	io.Reader
	stop  func() // makes reads return
	close func() error
}

func (p *pipeInput) random() (io.ReaderAt, int64) { return nil, 0 }
func (p *pipeInput) again() error                 { return errors.New("it comes once, and cannot be played again") }
func (p *pipeInput) unblock()                     { p.stop() }
func (p *pipeInput) ended() error                 { return nil }
func (p *pipeInput) Close() error                 { return p.close() }

// openStdin takes standard input. A pipe is opened once more where the system can do that, because the standard file is
// one whose reads cannot be ended.
func openStdin(stdin io.Reader) (input, error) {
	if stdin == nil {
		stdin = os.Stdin
	}
	file, isFile := stdin.(*os.File)
	if !isFile {
		return pumped(stdin), nil
	}
	if term.IsTerminal(int(file.Fd())) {
		return nil, errors.New("media comes by a pipe, not from a keyboard: PROGRAM | parley … --video -")
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
	return pumped(file), nil
}

func deadlineOf(file *os.File) func() {
	return func() { _ = file.SetReadDeadline(time.Unix(1, 0)) } // what knows no deadline does not wait
}

// pumped reads from what cannot be told to stop: a goroutine does, which ends with the reader, or with the process.
func pumped(r io.Reader) *pipeInput {
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

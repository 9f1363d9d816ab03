package recorder

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"parley/media"
)

const (
	// syncInterval bounds what a power failure takes from a recording, or the end of the process.
	syncInterval = 2 * time.Second
	// bufferSize is how many bytes of a regular file are written at once, and bufferTime how long
	// they wait while more come in. A system call for each frame would be a third of the CPU time
	// of a recording.
	bufferSize = 64 << 10
	bufferTime = 500 * time.Millisecond
	// fifoTimeout is how long a write to a FIFO waits for its reader.
	fifoTimeout = 5 * time.Second
)

// errNoReader reports that no process has opened a FIFO for reading.
var errNoReader = errors.New("no process reads the FIFO")

// file is an output file. What is written to a regular file is collected. After a failure it ends
// with the last complete write, so that it stays playable. A goroutine flushes it to the disk,
// which the system may otherwise do half a minute later.
type file struct {
	path    string
	file    *os.File
	regular bool
	fifo    bool
	stop    chan struct{}
	work    sync.WaitGroup

	mu     sync.Mutex // guards the following
	size   int64      // with buffer
	buffer []byte     // of a regular file: not written yet
	ends   []int      // of the writes in buffer
	since  time.Time  // of the first of them
	failed error      // of sync, to be returned by the next call
	dirty  bool       // written and not flushed to the disk
}

// checkPath reports whether a file can be written at path, without creating or changing one.
func checkPath(path string, overwrite bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return media.WrapFileError(path, checkDirectory(filepath.Dir(path)))
	case err != nil:
		return media.WrapFileError(path, err)
	case info.IsDir():
		return media.WrapFileError(path, errors.New("is a directory: name a file in it"))
	case info.Mode().IsRegular() && !overwrite:
		return media.WrapFileError(path, checkDirectory(filepath.Dir(path))) // another name is taken
	case info.Mode().IsRegular():
		existing, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return media.WrapFileError(path, err)
		}
		return media.WrapFileError(path, existing.Close())
	case !isStream(info.Mode()):
		return media.WrapFileError(path, errors.New("invalid recording file: want a regular file, a FIFO or a character device"))
	}
	return nil
}

// checkDirectory reports whether files can be created in a directory.
func checkDirectory(directory string) error {
	probe, err := os.CreateTemp(directory, ".parley-")
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			return pathErr.Err
		}
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// isStream reports whether a file is written from front to back only.
func isStream(mode fs.FileMode) bool { return mode&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0 }

// isFIFO reports whether path names a FIFO.
func isFIFO(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.ModeNamedPipe != 0
}

// openFile opens path for writing. The error is fs.ErrExist for a regular file that exists, unless
// overwrite is set, and errNoReader for a FIFO without a reader.
func openFile(path string, overwrite bool) (*file, error) {
	flags, mode := os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(0)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode()
	}
	switch {
	case mode&fs.ModeNamedPipe != 0:
		flags = os.O_WRONLY | syscall.O_NONBLOCK
	case isStream(mode):
		flags = os.O_WRONLY
	case overwrite:
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	opened, err := os.OpenFile(path, flags, 0o666) //nolint:gosec // as os.Create; the umask decides
	if errors.Is(err, syscall.ENXIO) {
		return nil, errNoReader
	}
	if err != nil {
		return nil, err
	}
	f := &file{path: path, file: opened, regular: !isStream(mode), fifo: mode&fs.ModeNamedPipe != 0, stop: make(chan struct{})}
	if f.regular {
		f.work.Go(f.syncLoop)
	}
	return f, nil
}

// syncLoop flushes written data to the disk until Close.
func (f *file) syncLoop() {
	ticker := time.NewTicker(syncInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f.sync()
		case <-f.stop:
			return
		}
	}
}

// sync writes what is collected and flushes it to the disk.
func (f *file) sync() {
	f.mu.Lock()
	if f.failed == nil {
		f.failed = f.writeBuffer()
	}
	dirty := f.dirty
	f.dirty = false
	f.mu.Unlock()
	if dirty {
		_ = f.file.Sync() // a failure shows in the next write
	}
}

// Write implements media.Output. An error may be that of an earlier write.
func (f *file) Write(data []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.regular {
		return f.writeStream(data)
	}
	if err := f.takeError(); err != nil {
		return 0, err
	}
	now := time.Now()
	if len(f.ends) == 0 {
		f.since = now
	}
	f.buffer, f.size = append(f.buffer, data...), f.size+int64(len(data))
	f.ends = append(f.ends, len(f.buffer))
	if len(f.buffer) < bufferSize && now.Sub(f.since) < bufferTime {
		return len(data), nil
	}
	if err := f.writeBuffer(); err != nil {
		return 0, err
	}
	return len(data), nil
}

// writeStream writes to a FIFO or a character device. mu is held.
func (f *file) writeStream(data []byte) (int, error) {
	if f.fifo {
		if err := f.file.SetWriteDeadline(time.Now().Add(fifoTimeout)); err != nil {
			return 0, err
		}
	}
	_, err := f.file.Write(data)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the reader of the FIFO took no data for %s", fifoTimeout)
	}
	if err != nil {
		return 0, err
	}
	f.size += int64(len(data))
	return len(data), nil
}

// writeBuffer writes what is collected. If that fails, the file ends with the last write of which
// all is in it. mu is held.
func (f *file) writeBuffer() error {
	if len(f.ends) == 0 {
		return nil
	}
	n, err := f.file.Write(f.buffer)
	if n > 0 {
		f.dirty = true
	}
	if err != nil {
		begin, whole := f.size-int64(len(f.buffer)), 0
		for _, end := range f.ends {
			if end <= n {
				whole = end
			}
		}
		f.size = begin + int64(whole)
		if whole < n {
			if truncateErr := f.cut(); truncateErr != nil {
				err = fmt.Errorf("%w (and the file ends in the middle of a frame: %w)", err, truncateErr)
			}
		}
	}
	f.buffer, f.ends = f.buffer[:0], f.ends[:0]
	return err
}

// cut ends the file at size. mu is held.
func (f *file) cut() error {
	if err := f.file.Truncate(f.size); err != nil {
		return err
	}
	_, err := f.file.Seek(f.size, io.SeekStart)
	return err
}

// takeError returns the error of sync, once. mu is held.
func (f *file) takeError() error {
	err := f.failed
	f.failed = nil
	return err
}

// flush writes what is collected.
func (f *file) flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return cmp.Or(f.takeError(), f.writeBuffer())
}

// Size implements media.Output.
func (f *file) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Seekable implements media.Output.
func (f *file) Seekable() bool { return f.regular }

// Patch implements media.Output.
func (f *file) Patch(at int64, data []byte) error {
	if !f.regular {
		return nil
	}
	if err := f.flush(); err != nil {
		return err
	}
	_, err := f.file.WriteAt(data, at)
	return err
}

// Close ends the file. It removes a regular file that nothing was written to, and reports that.
func (f *file) Close() (removed bool, err error) {
	close(f.stop)
	f.work.Wait()
	err = errors.Join(f.flush(), f.file.Close())
	if f.regular && f.size == 0 {
		return true, errors.Join(err, os.Remove(f.path))
	}
	return false, err
}

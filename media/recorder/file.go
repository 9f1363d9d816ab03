package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"parley/media"
)

const (
	// syncInterval bounds what a power failure takes from a recording.
	syncInterval = 2 * time.Second
	// fifoTimeout is how long a write to a FIFO waits for its reader.
	fifoTimeout = 5 * time.Second
)

// errNoReader reports that no process has opened a FIFO for reading.
var errNoReader = errors.New("no process reads the FIFO")

// file is an output file. After a failed write a regular file ends with the last complete write, so
// that it stays playable. A goroutine flushes a regular file to the disk, which the system may
// otherwise do half a minute later.
type file struct {
	path    string
	file    *os.File
	size    int64
	regular bool
	fifo    bool

	dirty atomic.Bool
	stop  chan struct{}
	work  sync.WaitGroup
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

// syncLoop flushes written data to the disk until Close. A failure shows in the next write.
func (f *file) syncLoop() {
	ticker := time.NewTicker(syncInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if f.dirty.Swap(false) {
				_ = f.file.Sync()
			}
		case <-f.stop:
			return
		}
	}
}

// Write implements media.Output.
func (f *file) Write(data []byte) (int, error) {
	if f.fifo {
		if err := f.file.SetWriteDeadline(time.Now().Add(fifoTimeout)); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(data)
	switch {
	case err == nil:
		f.size += int64(n)
		f.dirty.Store(true)
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, fmt.Errorf("the reader of the FIFO took no data for %s", fifoTimeout)
	case f.regular && n > 0:
		if truncateErr := f.file.Truncate(f.size); truncateErr != nil {
			err = fmt.Errorf("%w (and the file ends in the middle of a frame: %w)", err, truncateErr)
		}
	}
	return 0, err
}

// Size implements media.Output.
func (f *file) Size() int64 { return f.size }

// Seekable implements media.Output.
func (f *file) Seekable() bool { return f.regular }

// Patch implements media.Output.
func (f *file) Patch(at int64, data []byte) error {
	if !f.regular {
		return nil
	}
	_, err := f.file.WriteAt(data, at)
	return err
}

// Close ends the file. It removes a regular file that nothing was written to, and reports that.
func (f *file) Close() (removed bool, err error) {
	close(f.stop)
	f.work.Wait()
	err = f.file.Close()
	if f.regular && f.size == 0 {
		return true, errors.Join(err, os.Remove(f.path))
	}
	return false, err
}

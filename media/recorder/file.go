package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"parley/media"
)

// syncInterval is how much a power failure may take from a recording.
const syncInterval = 2 * time.Second

// outFile is a file that grows at its end and is patched where it is known better later. After an error it ends with
// the last whole write, so that what is in it stays playable. Beside, a goroutine makes the system write it to the disk,
// which it may otherwise do half a minute later.
type outFile struct {
	path  string
	file  *os.File
	size  int64
	patch bool // it is a regular file

	dirty atomic.Bool
	stop  chan struct{}
	work  sync.WaitGroup
}

func createFile(path string) (*outFile, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil, media.WrapFileError(path, errors.New("it is a folder; name a file in it"))
	case err == nil && !info.Mode().IsRegular() && info.Mode()&fs.ModeCharDevice == 0:
		return nil, media.WrapFileError(path, errors.New("a recording needs a regular file: its start is written again at the end"))
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, media.WrapFileError(path, err)
	}
	info, err = file.Stat()
	o := &outFile{path: path, file: file, patch: err == nil && info.Mode().IsRegular(), stop: make(chan struct{})}
	if o.patch {
		o.work.Go(o.sync)
	}
	return o, nil
}

// sync runs until Close. An error comes back with the next write.
func (o *outFile) sync() {
	ticker := time.NewTicker(syncInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if o.dirty.Swap(false) {
				_ = o.file.Sync()
			}
		case <-o.stop:
			return
		}
	}
}

// Write appends all of data or nothing.
func (o *outFile) Write(data []byte) (int, error) {
	n, err := o.file.Write(data)
	if err == nil {
		o.size += int64(n)
		o.dirty.Store(true)
		return n, nil
	}
	if o.patch && n > 0 {
		if cut := o.file.Truncate(o.size); cut != nil {
			err = fmt.Errorf("%w (and it ends in the middle of a frame: %w)", err, cut)
		}
	}
	return 0, err
}

// Size implements media.Output.
func (o *outFile) Size() int64 { return o.size }

// Seekable implements media.Output.
func (o *outFile) Seekable() bool { return o.patch }

// Patch implements media.Output.
func (o *outFile) Patch(at int64, data []byte) error {
	if !o.patch {
		return nil
	}
	_, err := o.file.WriteAt(data, at)
	return err
}

func (o *outFile) Close() error {
	close(o.stop)
	o.work.Wait()
	return o.file.Close()
}

//go:build linux || darwin

package files

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// stored is how many bytes of a file are no holes, by what it takes on the disk.
func stored(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512 // in these units whatever the block size, see stat(2)
	}
	return info.Size()
}

// extent is the next run of data at or after offset: [from, to). A file system
// without holes says that all is data.
func extent(f *os.File, offset, size int64) (from, to int64) {
	from, err := unix.Seek(int(f.Fd()), offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size // a hole to the end
	}
	if err != nil || from >= size {
		return offset, size
	}
	to, err = unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
	if err != nil || to > size || to <= from {
		to = size
	}
	return from, to
}

//go:build linux || darwin

package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock locks a file until it is closed. It fails if the file is locked already.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// FreeSpace returns the number of bytes that can still be stored in dir.
func FreeSpace(dir string) (n int64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}

// Allocated returns the number of bytes of a file that are not in holes.
func Allocated(info fs.FileInfo) int64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512 // in units of 512 bytes whatever the block size, see stat(2)
	}
	return info.Size()
}

// NextData returns the next range of data at or after offset: [from, to). Without support for holes
// all is data.
func NextData(f *os.File, offset, size int64) (from, to int64) {
	from, err := unix.Seek(int(f.Fd()), offset, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size // a hole up to the end
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

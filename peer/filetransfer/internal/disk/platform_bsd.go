//go:build unix && !linux && !darwin

package disk

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lock locks a file until it is closed. It fails if the file is locked already.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// FreeSpace is not known: a full disk is noticed while writing.
func FreeSpace(string) (n int64, known bool) { return 0, false }

// Allocated returns the size: holes are not detected.
func Allocated(info fs.FileInfo) int64 { return info.Size() }

// NextData returns the rest of the file: holes are not detected.
func NextData(_ *os.File, offset, size int64) (from, to int64) { return offset, size }

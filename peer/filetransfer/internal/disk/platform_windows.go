package disk

import (
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// lock locks a file until it is closed. It fails if the file is locked already. The locked byte is
// beyond the end of any file, because Windows would reject our own writes to it.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
}

// FreeSpace returns the number of bytes that can still be stored in dir.
func FreeSpace(dir string) (n int64, known bool) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, false
	}
	return int64(min(free, 1<<62)), true
}

// Allocated returns the size: holes are not detected.
func Allocated(info fs.FileInfo) int64 { return info.Size() }

// NextData returns the rest of the file: holes are not detected.
func NextData(_ *os.File, offset, size int64) (from, to int64) { return offset, size }

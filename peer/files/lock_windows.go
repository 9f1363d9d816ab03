package files

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock keeps other transfers out of a file until it is closed. The byte that is
// locked is beyond the end of any file, for Windows would keep our own writes
// out of it too.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
}

//go:build linux || darwin

package files

import "golang.org/x/sys/unix"

// space is how many bytes a file in dir may still take.
func space(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}

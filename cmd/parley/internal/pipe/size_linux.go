package pipe

import (
	"os"

	"golang.org/x/sys/unix"
)

// enlargePipes lets pipes hold as much as Linux gives to anybody (pipe(7),
// pipe-max-size): with the usual 64 KiB both of their ends wake each other up
// for each message. What is no pipe stays as it is.
func enlargePipes(ends ...any) {
	const size = 1 << 20
	for _, e := range ends {
		f, ok := e.(*os.File)
		if !ok {
			continue
		}
		if raw, err := f.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, size) }) // it helps, if it works
		}
	}
}

//go:build !gorilla

package wsconn

import (
	"syscall"
	"unsafe"
)

// readSocket is read(2) of a non-blocking descriptor. The scheduler is not notified, as
// syscall.Read would do, because the call returns at once: with the notification it takes the
// processor away from one call in a few. p is not empty.
func readSocket(fd uintptr, p []byte) (int, error) {
	return result(syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p))))
}

// writeSocket is write(2), as readSocket.
func writeSocket(fd uintptr, p []byte) (int, error) {
	return result(syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p))))
}

func result(n, _ uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

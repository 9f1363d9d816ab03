//go:build unix && !gorilla

package wsconn

import (
	"io"
	"net"
	"syscall"
)

// rawOf returns the descriptor below a plain TCP socket, and nil for anything else. With it a
// connection waits for input without a buffer to read into, and writes as much as the kernel takes
// without waiting.
func rawOf(socket net.Conn) syscall.RawConn {
	tcp, ok := socket.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readNow reads what is available. Later reports that nothing is.
func readNow(fd uintptr, p []byte) (n int, later bool, err error) {
	for {
		n, err = readSocket(fd, p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, true, nil
		case err != nil:
			return 0, false, err
		case n == 0:
			return 0, false, io.EOF
		}
		return n, false, nil
	}
}

// writeNow writes what the kernel takes without waiting.
func writeNow(fd uintptr, p []byte) (n int, err error) {
	for n < len(p) {
		m, err := writeSocket(fd, p[n:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return n, nil
		case err != nil:
			return n, err
		}
		n += m
	}
	return n, nil
}

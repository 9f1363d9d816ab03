//go:build !unix && !gorilla

package wsconn

import (
	"net"
	"syscall"
)

// rawOf returns nil: every connection reads and writes through net.Conn.
func rawOf(net.Conn) syscall.RawConn { return nil }

func readNow(uintptr, []byte) (n int, later bool, err error) { return 0, true, nil }

func writeNow(uintptr, []byte) (n int, err error) { return 0, nil }

//go:build !linux || (!amd64 && !arm64)

package icenet

import (
	"net"

	"github.com/pion/transport/v4"
)

// newUDPSocket returns a UDP socket for ICE, which may be conn itself.
func newUDPSocket(conn *net.UDPConn, _ *hostNet) transport.UDPConn { return conn }

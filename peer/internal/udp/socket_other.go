//go:build !linux || (!amd64 && !arm64)

package udp

import (
	"net"

	"github.com/pion/transport/v4"
)

// Wrap adds conn to the group. It returns the socket to use and close in place of conn: here conn
// itself, without batches and bursts.
func (g *Group) Wrap(conn *net.UDPConn) transport.UDPConn { return conn }

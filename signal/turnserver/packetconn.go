package turnserver

import (
	"errors"
	"net"
	"time"
)

// packetConn is a UDP socket of the server.
type packetConn struct{ net.PacketConn }

// ReadFrom returns the next packet, until the socket is closed. It ignores other errors: pion/turn
// would stop serving the socket after the first one.
func (c packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return n, from, err
		}
		time.Sleep(time.Millisecond) // a lasting error must not occupy a processor
	}
}

package turnserver

import (
	"errors"
	"net"
	"time"
)

// packetConn is a UDP socket of the server.
type packetConn struct {
	net.PacketConn
	server  *Server
	clients *clientTable
}

// ReadFrom returns the next packet that pion/turn should handle, until the socket is closed. It
// ignores errors: pion/turn would stop serving the socket after the first one.
func (c packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return 0, nil, err
		case err != nil:
			time.Sleep(time.Millisecond) // a lasting error must not occupy a processor
		case c.accept(b[:n], from):
			return n, from, nil
		}
	}
}

// accept reports whether to handle a packet: every packet of a client with an allocation, and of
// others requests up to Options.RequestRate.
func (c packetConn) accept(packet []byte, from net.Addr) bool {
	client := addrPortOf(from)
	if c.clients.has(client) {
		return true
	}
	return isRequest(packet) && c.server.takeRequest(client.Addr())
}

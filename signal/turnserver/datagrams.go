package turnserver

import (
	"errors"
	"net"
	"time"
)

// datagrams is a UDP socket of the server. pion/turn stops serving a socket at its first error; but only a closed one is at its end.
type datagrams struct{ net.PacketConn }

// ReadFrom returns the next packet, until the socket is closed.
func (d datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := d.PacketConn.ReadFrom(b)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return n, from, err
		}
		time.Sleep(time.Millisecond) // an error that stays must not take a processor
	}
}

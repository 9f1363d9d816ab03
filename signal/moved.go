package signal

import (
	"errors"
	"net"
)

// errMoved ends a link whose own address this machine has no more.
var errMoved = errors.New("this machine has another address now")

// Moved tells the client that this machine's addresses have changed. If its connection was from one that is gone, nothing would come by it
// any more, and only the next ping would tell: the client then comes back by itself, as it does after every loss. Where the server does not
// let it come back, nothing happens.
func (c *Client) Moved() {
	select {
	case c.moved <- struct{}{}:
	default:
	}
}

// stranded reports whether the link is from an address that is gone, and could be replaced.
func (l *link) stranded() bool {
	if ticket, _, _, _ := l.client.track.state(); ticket == "" {
		return false
	}
	own, ok := l.ws.NetConn().LocalAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(own.IP) {
			return false
		}
	}
	return true
}

package peer

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// network is the one of the configuration, else the host's.
func (c *Config) network() (transport.Net, error) {
	if c.Net != nil {
		return c.Net, nil
	}
	host, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("failed to list the network interfaces: %w", err)
	}
	dialing, stop := context.WithCancel(context.Background())
	buffered := &bufferedNet{lockedNet: lockedNet{Net: host}, dialing: dialing, stop: stop}
	if c.Tap != nil {
		return impaired(&tappedNet{buffered, c.Tap}, c.Impairment), nil
	}
	return impaired(buffered, c.Impairment), nil
}

// hostOf is the host's network, nil if n is another one.
func hostOf(n transport.Net) *bufferedNet {
	switch n := n.(type) {
	case *bufferedNet:
		return n
	case *tappedNet:
		return n.bufferedNet
	case *impairedNet:
		return hostOf(n.Net)
	}
	return nil
}

// bufferedNet is the host's network with larger UDP receive buffers, and with
// TCP connections that are given up.
type bufferedNet struct {
	lockedNet
	dialing context.Context // over when the connection is closed
	stop    context.CancelFunc
	limit   time.Duration // of a TCP connection; 0 is dialTimeout
}

// dialTimeout bounds a TCP connection to a TURN server. The kernel tries for two
// minutes, for which Pion would wait, even when it is being closed.
const dialTimeout = 10 * time.Second

// DialTCP implements transport.Net.
func (n *bufferedNet) DialTCP(network string, local, remote *net.TCPAddr) (transport.TCPConn, error) {
	dialer := net.Dialer{Timeout: cmp.Or(n.limit, dialTimeout)}
	if local != nil {
		dialer.LocalAddr = local
	}
	conn, err := dialer.DialContext(n.dialing, network, remote.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// ListenUDP implements transport.Net. The connection is returned as it is, for
// Pion looks for more methods on it than the interface has.
func (n *bufferedNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err == nil {
		_ = conn.SetReadBuffer(udpReadBuffer) // the kernel gives what it allows
	}
	return conn, err
}

package peer

import (
	"context"
	"fmt"
	"net"

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
	var n transport.Net = buffered
	if c.Tap != nil {
		n = &tappedNet{buffered, c.Tap}
	}
	return &relayNet{c.Netem.Net(n), dialing, c.passwords}, nil
}

// hostOf is the host's network, nil if n is another one.
func hostOf(n transport.Net) *bufferedNet {
	switch n := n.(type) {
	case *bufferedNet:
		return n
	case *tappedNet:
		return n.bufferedNet
	case *relayNet:
		return hostOf(n.Net)
	case interface{ Unwrap() transport.Net }: // of a netem.Emulator
		return hostOf(n.Unwrap())
	}
	return nil
}

// bufferedNet is the host's network with larger UDP receive buffers.
type bufferedNet struct {
	lockedNet
	dialing context.Context // of TURN servers; over when the connection is closed
	stop    context.CancelFunc
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

package icenet

import (
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"

	"parley/peer/internal/tap"
	"parley/peer/internal/udp"
)

// hostNet is the host's network, with larger UDP receive buffers than Pion's. Its interfaces are
// those that the filter selects, with a bounded number of usable addresses, and may be listed again
// while Pion gathers candidates. Pion's filters are not used: with them Pion sends STUN and TURN
// requests once from each address, including those of a bridge that leads nowhere, and never from a
// host without IPv4.
type hostNet struct {
	*stdnet.Net
	filter  InterfaceFilter
	mu      sync.RWMutex // guards the interfaces in Net
	sockets udp.Group
}

// newHostNet returns the host's network after it has listed the interfaces.
func newHostNet(filter InterfaceFilter) (*hostNet, error) {
	host, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("failed to list the network interfaces: %w", err)
	}
	return &hostNet{Net: host, filter: filter}, nil
}

// UpdateInterfaces lists the interfaces again.
func (n *hostNet) UpdateInterfaces() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Net.UpdateInterfaces()
}

// Interfaces implements transport.Net.
func (n *hostNet) Interfaces() ([]*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	all, err := n.Net.Interfaces()
	all = slices.DeleteFunc(slices.Clone(all), func(i *transport.Interface) bool { return !n.filter.match(i.Name) })
	return selectAddresses(all, routeAddresses()...), err
}

// InterfaceByIndex implements transport.Net.
func (n *hostNet) InterfaceByIndex(index int) (*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.Net.InterfaceByIndex(index)
}

// InterfaceByName implements transport.Net.
func (n *hostNet) InterfaceByName(name string) (*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.Net.InterfaceByName(name)
}

// udpReadBuffer is the receive buffer requested for each UDP socket, in bytes. The usual 208 KiB
// overflow during bulk transfer, and SCTP takes that for congestion.
const udpReadBuffer = 4 << 20

// ListenUDP implements transport.Net.
func (n *hostNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.listenUDP(network, local)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil && !isMDNS(local) {
		return n.sockets.Wrap(udp), nil
	}
	return conn, err
}

// listenUDP opens a UDP socket. It returns the connection unwrapped because Pion looks for more
// methods on it than the interface has.
func (n *hostNet) listenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err == nil {
		_ = conn.SetReadBuffer(udpReadBuffer) // the kernel caps it
	}
	return conn, err
}

const mdnsPort = 5353

// isMDNS reports whether a socket is that of multicast DNS, which Pion needs unwrapped.
func isMDNS(local *net.UDPAddr) bool {
	return local != nil && (local.IP.IsMulticast() || local.Port == mdnsPort)
}

// tappedNet is the host's network with a tap, and without batches and bursts.
type tappedNet struct {
	*hostNet
	tap tap.Tap
}

// ListenUDP implements transport.Net.
func (n *tappedNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.hostNet.listenUDP(network, local)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil && !isMDNS(local) {
		return tap.UDP(udp, n.tap), nil
	}
	return conn, err
}

// ListenPacket implements transport.Net.
func (n *tappedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.hostNet.ListenPacket(network, address)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil {
		return tap.UDP(udp, n.tap), nil
	}
	return conn, err
}

package peer

import (
	"net"
	"sync"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// lockedNet is the host's network, whose list of interfaces may be made anew
// while Pion gathers candidates, which Pion's own does not allow, and has only
// addresses to be reached at. Pion's filter of addresses would do that, too, but
// then Pion asks STUN and TURN servers once from each of them, also from those of a
// bridge that leads nowhere, and from a host without IPv4 never.
type lockedNet struct {
	*stdnet.Net
	mu sync.RWMutex // protects the list of interfaces in Net
}

// UpdateInterfaces lists the interfaces anew.
func (n *lockedNet) UpdateInterfaces() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Net.UpdateInterfaces()
}

// Interfaces implements transport.Net.
func (n *lockedNet) Interfaces() ([]*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	all, err := n.Net.Interfaces()
	list := make([]*transport.Interface, 0, len(all))
	for _, i := range all {
		list = append(list, withReachable(i))
	}
	return list, err
}

// withReachable is an interface with those of its addresses that are of use.
func withReachable(i *transport.Interface) *transport.Interface {
	left := transport.NewInterface(i.Interface)
	addresses, err := i.Addrs()
	if err != nil {
		return left // it has none
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); !ok || isReachable(n.IP) {
			left.AddAddress(a)
		}
	}
	return left
}

// isReachable tells if a host's address is one to be reached at. An IPv6 address of the link alone is not: it means
// nothing without its zone, so nobody is told of it (RFC 8445 §5.1.1.1), and where Pion still sends checks from it,
// Firefox answers them and then sends everything else to nowhere.
func isReachable(ip net.IP) bool { return ip.To4() != nil || !ip.IsLinkLocalUnicast() }

// InterfaceByIndex implements transport.Net.
func (n *lockedNet) InterfaceByIndex(index int) (*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.Net.InterfaceByIndex(index)
}

// InterfaceByName implements transport.Net.
func (n *lockedNet) InterfaceByName(name string) (*transport.Interface, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.Net.InterfaceByName(name)
}

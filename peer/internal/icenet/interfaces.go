package icenet

import (
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// hostNet is the host's network. It has larger UDP receive buffers than Pion's, its interfaces may
// be listed again while Pion gathers candidates, and they have usable addresses only. Pion's
// address filter is not used because then Pion sends STUN and TURN requests once from each address,
// including those of a bridge that leads nowhere, and never from a host without IPv4.
type hostNet struct {
	*stdnet.Net
	mu sync.RWMutex // guards the interfaces in Net
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
	list := make([]*transport.Interface, 0, len(all))
	for _, i := range all {
		list = append(list, withUsableAddresses(i))
	}
	return list, err
}

// withUsableAddresses returns an interface with the usable ones of its addresses.
func withUsableAddresses(i *transport.Interface) *transport.Interface {
	left := transport.NewInterface(i.Interface)
	addresses, err := i.Addrs()
	if err != nil {
		return left // it has none
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); !ok || usable(n.IP) {
			left.AddAddress(a)
		}
	}
	return left
}

// usable reports whether a host address may become a candidate. IPv6 link-local addresses may not:
// they mean nothing without a zone (RFC 8445 section 5.1.1.1), and where Pion still sends checks
// from them, Firefox answers those checks and loses everything else.
func usable(ip net.IP) bool { return ip.To4() != nil || !ip.IsLinkLocalUnicast() }

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

// AddressMonitor detects changes of the host's addresses: a cable was unplugged, a wireless network
// was left. The zero value is ready for use.
type AddressMonitor struct{ last string }

// Changed returns the host's addresses and reports whether they differ from those of the previous
// call. The first call reports false. So does a host without any address, on which no other path
// can be found.
func (m *AddressMonitor) Changed() (list []string, changed bool) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, false
	}
	external := 0
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if ok && !usable(n.IP) {
			continue // every new container brings some
		}
		list = append(list, a.String())
		if ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			external++
		}
	}
	slices.Sort(list)
	now := strings.Join(list, " ")
	if m.last != "" && external == 0 {
		return list, false
	}
	changed = m.last != "" && m.last != now
	m.last = now
	return list, changed
}

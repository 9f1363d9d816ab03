package icenet

import (
	"cmp"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"

	"parley/peer/internal/netaddr"
	"parley/peer/internal/udp"
)

// hostNet is the host's network. It has larger UDP receive buffers than Pion's, its interfaces may
// be listed again while Pion gathers candidates, and they are filtered and have a bounded number of
// usable addresses. Pion's filters are not used because then Pion sends STUN and TURN requests once
// from each address, including those of a bridge that leads nowhere, and never from a host without
// IPv4.
type hostNet struct {
	*stdnet.Net
	filter  InterfaceFilter
	mu      sync.RWMutex // guards the interfaces in Net
	sockets udp.Group
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

// Bounds of the host addresses of one family that become candidates. Pairs grow with the square of
// them, and signaling servers limit the rate of candidates. libwebrtc takes 5 IPv6 networks.
const (
	maxAddresses             = 10
	maxAddressesPerInterface = 4
)

// selectAddresses returns the interfaces with their usable addresses, bounded by the constants
// above. Addresses in preferred come first, then the first address of each interface, then the
// second, and so on. Those of loopback interfaces do not count.
func selectAddresses(all []*transport.Interface, preferred ...netip.Addr) []*transport.Interface {
	type addressOf struct {
		i       int // index of the interface
		address netip.Addr
	}
	type family struct {
		i   int
		is4 bool
	}
	var ranked []addressOf
	kept := map[addressOf]bool{}
	ranks := map[addressOf]int{}
	position := map[family]int{}
	for i, itf := range all {
		addresses, _ := itf.Addrs()
		for _, a := range addresses {
			ip, ok := usableAddress(a)
			found := addressOf{i, ip}
			switch {
			case !ok || itf.Flags&net.FlagUp == 0:
			case itf.Flags&net.FlagLoopback != 0:
				kept[found] = true
			default:
				f := family{i, ip.Is4()}
				ranks[found] = position[f]
				if slices.Contains(preferred, ip) {
					ranks[found] = -1
				}
				position[f]++
				ranked = append(ranked, found)
			}
		}
	}
	slices.SortStableFunc(ranked, func(a, b addressOf) int { return cmp.Compare(ranks[a], ranks[b]) })
	perFamily, perInterface := map[bool]int{}, map[family]int{}
	for _, a := range ranked {
		is4 := a.address.Is4()
		if f := (family{a.i, is4}); perFamily[is4] < maxAddresses && perInterface[f] < maxAddressesPerInterface {
			kept[a] = true
			perFamily[is4]++
			perInterface[f]++
		}
	}
	var selected []*transport.Interface
	for i, itf := range all {
		left := transport.NewInterface(itf.Interface)
		addresses, _ := itf.Addrs()
		for _, a := range addresses {
			if ip, ok := usableAddress(a); ok && kept[addressOf{i, ip}] {
				left.AddAddress(a)
			}
		}
		selected = append(selected, left)
	}
	return selected
}

// usableAddress returns the IP address of an interface address and reports whether it is usable.
func usableAddress(a net.Addr) (netip.Addr, bool) {
	n, ok := a.(*net.IPNet)
	if !ok {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	return ip.Unmap(), ok && usable(n.IP)
}

// routeAddresses returns the host's addresses towards the Internet: one of a family, or none. It
// sends nothing; libwebrtc asks for the same routes.
func routeAddresses() (addresses []netip.Addr) {
	for _, address := range []string{"8.8.8.8:53", "[2001:4860:4860::8888]:53"} {
		if conn, err := net.Dial("udp", address); err == nil {
			addresses = append(addresses, netaddr.AddrPort(conn.LocalAddr()).Addr())
			_ = conn.Close()
		}
	}
	return addresses
}

// InterfaceFilter selects network interfaces by glob patterns of their names, see path.Match. An
// interface is used if a pattern of Include matches, or Include is empty, and none of Exclude.
type InterfaceFilter struct{ Include, Exclude []string }

// active reports whether the filter has a pattern.
func (f InterfaceFilter) active() bool { return len(f.Include) > 0 || len(f.Exclude) > 0 }

// match reports whether an interface is used.
func (f InterfaceFilter) match(name string) bool {
	matches := func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	}
	return (len(f.Include) == 0 || slices.ContainsFunc(f.Include, matches)) && !slices.ContainsFunc(f.Exclude, matches)
}

// addresses returns the addresses of the host's interfaces.
func (f InterfaceFilter) addresses() ([]net.Addr, error) {
	if !f.active() {
		return net.InterfaceAddrs()
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []net.Addr
	for _, i := range interfaces {
		if !f.match(i.Name) {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it was removed
		}
		all = append(all, addresses...)
	}
	return all, nil
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
// call. It looks at the interfaces that match the filter. The first call reports false. So does a
// host without any address, on which no other path can be found.
func (m *AddressMonitor) Changed(filter InterfaceFilter) (list []string, changed bool) {
	all, err := filter.addresses()
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

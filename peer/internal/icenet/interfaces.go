package icenet

import (
	"cmp"
	"net"
	"net/netip"
	"path"
	"slices"

	"github.com/pion/transport/v4"

	"parley/peer/internal/netaddr"
)

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

// usable reports whether a host address may become a candidate. IPv6 link-local addresses may not:
// they mean nothing without a zone (RFC 8445 section 5.1.1.1), and where Pion still sends checks
// from them, Firefox answers those checks and loses everything else.
func usable(ip net.IP) bool { return ip.To4() != nil || !ip.IsLinkLocalUnicast() }

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

package serve

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// networkURLs returns the https URLs by which other machines in the network reach a listener.
func networkURLs(a net.Addr) []string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil || at.Addr().IsLoopback() {
		return nil
	}
	var urls []string
	for _, address := range machineAddresses() {
		listens := at.Addr().IsUnspecified() || at.Addr().Unmap() == address
		if listens && !address.IsLoopback() && !address.IsLinkLocalUnicast() {
			urls = append(urls, "https://"+netip.AddrPortFrom(address, at.Port()).String()+"/")
		}
	}
	return urls
}

// machineNames returns the names of this machine in lower case, with its mDNS name.
func machineNames() []string {
	host, err := os.Hostname()
	if err != nil || host == "localhost" || strings.ContainsFunc(host, func(r rune) bool { return r == '_' || !isHostRune(r) }) {
		return nil
	}
	host = strings.ToLower(host)
	if strings.Contains(host, ".") {
		return []string{host}
	}
	return []string{host, host + ".local"}
}

// machineAddresses returns the addresses of this machine without zones.
func machineAddresses() []netip.Addr {
	var addresses []netip.Addr
	list, err := net.InterfaceAddrs()
	if err != nil {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addresses = append(addresses, p.Addr().Unmap().WithZone(""))
		}
	}
	return addresses
}

// isLoopback reports whether only this machine reaches listening addresses, HOST:PORT or HOST.
func isLoopback(addresses ...string) bool {
	return !slices.ContainsFunc(addresses, func(address string) bool {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		ip, err := netip.ParseAddr(host)
		return host != "localhost" && (err != nil || !ip.Unmap().IsLoopback())
	})
}

// outgoingAddress returns bind, or if it is unspecified the address from which this machine sends
// to others of the family. The address is invalid if there is none.
func outgoingAddress(bind netip.Addr) netip.Addr {
	if !bind.IsUnspecified() {
		return bind
	}
	network, target := "udp4", "192.88.99.1:9"
	if bind.Is6() {
		network, target = "udp6", "[2620:4f:8000::1]:9"
	}
	if c, err := net.Dial(network, target); err == nil { // asks the routing table, sends nothing
		defer c.Close()
		if at, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil && isReachable(at.Addr()) {
			return at.Addr().WithZone("")
		}
	}
	for _, a := range machineAddresses() {
		if a.Is4() == bind.Is4() && isReachable(a) {
			return a
		}
	}
	return netip.Addr{}
}

// isReachable reports whether other machines may reach an address. Private IPv6 addresses do not
// count: with them a server reaches nobody that it does not reach over IPv4.
func isReachable(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !(a.Is6() && a.IsPrivate())
}

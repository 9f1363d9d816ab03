// Package netaddr converts and checks the addresses of peers and servers.
package netaddr

import (
	"net"
	"net/netip"
	"strings"
)

// AddrPort returns the IP address and port of a UDP or TCP address in the form of Unmap, and the
// zero AddrPort for nil and other kinds of addresses.
func AddrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		p = a.AddrPort()
	case *net.TCPAddr:
		p = a.AddrPort()
	}
	return Unmap(p)
}

// Unmap returns an address without a zone, and an IPv4-mapped one as IPv4.
func Unmap(p netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}

// Allowed reports whether packets may be sent to an address that the peer or a server has chosen.
// The unspecified, broadcast and multicast addresses are not allowed, nor those of the metadata
// services of virtual machines. A name is allowed.
func Allowed(address string) bool {
	host, _, _ := strings.Cut(address, "%") // an IPv6 zone
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return true
	}
	ip = ip.Unmap()
	switch ip.String() {
	case "255.255.255.255", "169.254.169.254", "169.254.170.2", "fd00:ec2::254":
		return false
	}
	return !ip.IsUnspecified() && !ip.IsMulticast()
}

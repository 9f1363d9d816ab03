package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/realclientip/realclientip-go"
)

// clientIPStrategy returns how the address of a client is found in the requests of trusted proxies.
func clientIPStrategy(header string, proxies []netip.Prefix) realclientip.Strategy {
	var ranges []net.IPNet
	for _, p := range proxies {
		ranges = append(ranges, net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	if list, err := realclientip.NewRightmostTrustedRangeStrategy(header, ranges); err == nil {
		return list
	}
	if single, err := realclientip.NewSingleIPHeaderStrategy(header); err == nil {
		return single
	}
	return realclientip.RemoteAddrStrategy{} // no header is named
}

// remoteOf returns where a request comes from. A trusted proxy's header is believed; where it names no valid address, the proxy's
// own counts.
func (s *Server) remoteOf(r *http.Request) netip.Addr {
	address := parseRemote(r.RemoteAddr)
	if !s.isProxy(address) {
		return address
	}
	if client := parseRemote(s.clientIP.ClientIP(r.Header, r.RemoteAddr)); client.IsValid() {
		return client
	}
	return address
}

func (s *Server) isProxy(a netip.Addr) bool {
	for _, p := range s.opts.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// parseRemote reads an address with or without a port, and the invalid address for anything else.
func parseRemote(text string) netip.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// clientPrefix returns what counts as one address: of IPv6 the /64, as one host has all of it.
func clientPrefix(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

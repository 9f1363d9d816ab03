package signal

import (
	"net/http"
	"net/netip"
	"strings"
)

// remoteOf returns where a request comes from. A trusted proxy's word is believed, and that of a trusted proxy before it, and so on: the
// address is the nearest that is not a proxy's.
func (s *Server) remoteOf(r *http.Request) netip.Addr {
	address := parseRemote(r.RemoteAddr)
	if !s.isProxy(address) {
		return address
	}
	hops := forwardedFor(r.Header)
	for i := len(hops) - 1; i >= 0; i-- {
		hop := parseRemote(hops[i])
		if !hop.IsValid() {
			break // nobody vouches for what stands before it
		}
		if address = hop; !s.isProxy(hop) {
			break
		}
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

// forwardedFor returns the hops that a request's headers tell of, the nearest last: those of Forwarded (RFC 7239) if it is there, else
// those of X-Forwarded-For. A proxy that knows one of them only may pass on the other as the client made it up, so a proxy in front
// of this server has to set or remove both.
func forwardedFor(h http.Header) []string {
	var hops []string
	if forwarded := h.Values("Forwarded"); len(forwarded) > 0 {
		for _, element := range strings.Split(strings.Join(forwarded, ","), ",") {
			hops = append(hops, forwardedElement(element))
		}
		return hops
	}
	for _, hop := range strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",") {
		hops = append(hops, strings.TrimSpace(hop))
	}
	return hops
}

func forwardedElement(element string) string {
	for _, pair := range strings.Split(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
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

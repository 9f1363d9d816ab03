package turnserver

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// access is what a client may reach at a peer's address.
type access int

const (
	denied          access = iota
	allocationsOnly        // allocations of this server, no other port
	allowed
)

// peerFilter decides which addresses clients may send to (RFC 8656 section 21.2).
type peerFilter struct {
	allow      []netip.Prefix
	relayed    []netip.Addr // addresses of the allocations of this server
	interfaces func() ([]net.Addr, error)

	mu        sync.Mutex // guards the fields below
	local     []netip.Addr
	refreshed time.Time
}

// localAddrsTTL is how long the addresses of this machine are cached.
const localAddrsTTL = 10 * time.Second

func newPeerFilter(allow []netip.Prefix, addresses []Address) *peerFilter {
	f := &peerFilter{allow: allow, interfaces: net.InterfaceAddrs}
	for _, a := range addresses {
		f.relayed = append(f.relayed, a.Public)
	}
	return f
}

// special lists the ranges that are no unicast addresses of the public Internet and for which netip
// has no method (IANA special-purpose address registries, RFC 6890).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network: on Linux 0.0.0.0 is loopback (CVE-2020-26262)
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("::/96"),           // IPv4-compatible, deprecated
	netip.MustParsePrefix("64:ff9b:1::/48"),  // local NAT64
	netip.MustParsePrefix("100::/64"),        // discard
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("fec0::/10"),       // site-local, deprecated
}

// Prefixes whose addresses contain an IPv4 address, which is checked instead.
var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// check returns what a client may reach at an address.
func (f *peerFilter) check(a netip.Addr) access {
	if !a.IsValid() {
		return denied
	}
	a = a.Unmap().WithZone("") // ::ffff:127.0.0.1 is 127.0.0.1 (CVE-2026-27624)
	v4, translated := embeddedIPv4(a)
	switch {
	case f.isListed(a):
		return allowed
	case f.allocationsOnly(a):
		return allocationsOnly
	case isSpecial(a), f.isLocal(a), translated && f.check(v4) != allowed:
		return denied
	}
	return allowed
}

// allocationsOnly reports whether only allocations of this server may be reached at an address.
func (f *peerFilter) allocationsOnly(a netip.Addr) bool {
	return slices.Contains(f.relayed, a) && !f.isListed(a)
}

// isListed reports whether Options.AllowedPeers contains an address.
func (f *peerFilter) isListed(a netip.Addr) bool {
	return slices.ContainsFunc(f.allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

func isSpecial(a netip.Addr) bool {
	return !a.IsGlobalUnicast() || a.IsPrivate() ||
		slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// embeddedIPv4 returns the IPv4 address to which a translator sends packets for an address.
func embeddedIPv4(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixTo4.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// isLocal reports whether an address is one of this machine's. If these cannot be listed it
// returns true.
func (f *peerFilter) isLocal(a netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.refreshed) > localAddrsTTL {
		list, err := f.interfaces()
		if err != nil {
			return true
		}
		f.local = f.local[:0]
		for _, l := range list {
			if n, ok := l.(*net.IPNet); ok {
				f.local = append(f.local, addrFromIP(n.IP))
			}
		}
		f.refreshed = time.Now()
	}
	return slices.Contains(f.local, a)
}

// addrFromIP returns ip as an address; IPv4-mapped IPv6 addresses become IPv4.
func addrFromIP(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

package turnserver

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// verdict is what may be done with a peer's address.
type verdict int

const (
	refused    verdict = iota
	relaysOnly         // this server's relays there, and nothing else
	allowed
)

// peers decides where packets may go.
type peers struct {
	allow  []netip.Prefix
	public []netip.Addr // where the relays of this server are
	list   func() ([]net.Addr, error)

	mu     sync.Mutex // guards what follows
	own    []netip.Addr
	listed time.Time
}

// listFor is how long the addresses of this machine are taken to stay as they are.
const listFor = 10 * time.Second

func newPeers(allow []netip.Prefix, addresses []Address) *peers {
	p := &peers{allow: allow, list: net.InterfaceAddrs}
	for _, a := range addresses {
		p.public = append(p.public, a.Public)
	}
	return p
}

// special are the ranges that are no unicast addresses of the public Internet and that netip has no method for (IANA registries of
// special-purpose addresses, RFC 6890).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network: Linux takes 0.0.0.0 for loopback (CVE-2020-26262)
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

// Prefixes whose addresses contain an IPv4 address, which is what counts.
var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// judge decides about one address.
func (p *peers) judge(a netip.Addr) verdict {
	if !a.IsValid() {
		return refused
	}
	a = a.Unmap().WithZone("") // ::ffff:127.0.0.1 is 127.0.0.1 (CVE-2026-27624)
	v4, translated := embedded(a)
	switch {
	case p.listedAllowed(a):
		return allowed
	case p.portsOnly(a):
		return relaysOnly
	case isSpecial(a), p.isOwn(a), translated && p.judge(v4) != allowed:
		return refused
	}
	return allowed
}

// portsOnly tells if of a, an address of this server, only the ports with a relay may be reached.
func (p *peers) portsOnly(a netip.Addr) bool {
	return slices.Contains(p.public, a) && !p.listedAllowed(a)
}

func (p *peers) listedAllowed(a netip.Addr) bool {
	return slices.ContainsFunc(p.allow, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

func isSpecial(a netip.Addr) bool {
	return !a.IsGlobalUnicast() || a.IsPrivate() ||
		slices.ContainsFunc(special, func(prefix netip.Prefix) bool { return prefix.Contains(a) })
}

// embedded returns the IPv4 address that a translator would make of a.
func embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixTo4.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// isOwn tells if a is an address of this machine. When they cannot be listed, every address might be.
func (p *peers) isOwn(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.listed) > listFor {
		list, err := p.list()
		if err != nil {
			return true
		}
		p.own = p.own[:0]
		for _, l := range list {
			if n, ok := l.(*net.IPNet); ok {
				p.own = append(p.own, addrOf(n.IP))
			}
		}
		p.listed = time.Now()
	}
	return slices.Contains(p.own, a)
}

// addrOf is ip without what hides an IPv4 address.
func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

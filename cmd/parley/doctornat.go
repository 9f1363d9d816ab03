package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"parley/signal/relay"
)

// nat is what was learnt of the NAT, and at which address it is; nil if nothing. That of IPv4 counts: IPv6 has none, as a rule.
func (d *doctor) nat() (*relay.NAT, relay.Finding) {
	n, f := d.looked(netip.Addr.Is4)
	if n == nil {
		return d.looked(netip.Addr.Is6)
	}
	if n.PerPort == nil && len(d.seen) > 1 {
		differ := slices.ContainsFunc(d.seen, func(at netip.AddrPort) bool { return at != d.seen[0] })
		n.PerPort = &differ
	}
	return n, f
}

// looked is what one server alone has told, of those that see us at an address of one family.
func (d *doctor) looked(family func(netip.Addr) bool) (*relay.NAT, relay.Finding) {
	fits := func(f relay.Finding) bool { return f.Err == nil && f.Protocol == "udp" && family(f.Mapped.Addr()) }
	for _, f := range d.found {
		if fits(f) && f.NAT != nil {
			return f.NAT, f
		}
	}
	i := slices.IndexFunc(d.found, fits)
	if i < 0 {
		return nil, relay.Finding{}
	}
	return &relay.NAT{None: d.found[i].Mapped == d.found[i].Local}, d.found[i]
}

// symmetric tells if the NAT is known to be.
func (d *doctor) symmetric() bool {
	n, _ := d.nat()
	return n != nil && n.PerPort != nil && *n.PerPort
}

func (d *doctor) tellNAT() {
	n, f := d.nat()
	switch {
	case len(d.found) == 0:
		d.tell("nat", note, "no STUN or TURN server is known, so nothing is: calls connect within this network, or with who can be reached from it; "+
			"--ice-server names one, parley serve --turn is one")
	case d.udpBlocked():
		d.tell("nat", note, "no UDP gets out of this network, TCP does: calls go through TURN over TCP, or to who takes ICE over TCP (--tcp-port)")
	case n == nil:
		d.tell("nat", bad, "no server was reached by UDP, so nothing is known of the NAT")
	default:
		d.describeNAT(n, f)
	}
	if len(d.found) > 0 && !d.works(func(f relay.Finding) bool { return f.Turn }) {
		d.tell("relay", note, "there is no TURN server that works: where no direct path is found, there will be no call")
	}
}

// describeNAT says what a NAT means for calls (RFC 4787 has the kinds).
func (d *doctor) describeNAT(n *relay.NAT, f relay.Finding) {
	result, say := fine, []string{}
	known := func(b *bool) bool { return b != nil }
	fields := []field{{"nat", !n.None}, {"address", f.Mapped.Addr().String()}}
	switch {
	case n.None:
		say = append(say, "none: others see the address that this machine has")
	case !known(n.PerPort):
		say = append(say, fmt.Sprintf("others see this network at %s; what kind of NAT that is a TURN server, or a second STUN server, helps to find out", f.Mapped.Addr()))
	case *n.PerPort:
		result = note
		say = append(say, fmt.Sprintf("symmetric, at %s: each destination sees us at another port, which nobody can know beforehand; "+
			"direct calls connect with who can be reached from anywhere, others need a relay", f.Mapped.Addr()))
	default:
		say = append(say, fmt.Sprintf("friendly, at %s: all see us at the same port, so direct calls connect but with who is behind a symmetric one", f.Mapped.Addr()))
	}
	if known(n.PerPort) {
		fields = append(fields, field{"symmetric", *n.PerPort})
	}
	if known(n.OpenPorts) {
		fields = append(fields, field{"filters_ports", !*n.OpenPorts})
		if *n.OpenPorts {
			say = append(say, "it lets in who we have sent to, from any port")
		} else {
			say = append(say, "it lets in nothing but answers, from the very port that we have sent to")
		}
	}
	if known(n.Hairpin) {
		fields = append(fields, field{"hairpin", *n.Hairpin})
		if *n.Hairpin {
			say = append(say, "two inside reach each other by their outside addresses")
		}
	}
	d.tell("nat", result, strings.Join(say, "; "), fields...)
}

// Package netcheck measures how the network between a host and STUN and TURN servers treats its
// packets.
//
// It finds out which servers are reachable over UDP, TCP and TLS, the host's address as they see
// it, and how the NAT in between maps and filters, in the terms of RFC 4787 and RFC 5780. NAT
// behaviour discovery by RFC 5780 needs servers with two addresses, which few have. Here a relayed
// transport address of a TURN server takes the part of the server's second port, and different
// servers that of its second address.
package netcheck

import (
	"context"
	"crypto/tls"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Server is a STUN or TURN server to check.
type Server struct {
	// URL has the scheme stun, stuns, turn or turns (RFC 7064, RFC 7065).
	URL string
	// Username and Password are the credentials for turn and turns.
	Username, Password string
}

// Options are the options of CheckServers. The zero value has the defaults.
type Options struct {
	// Timeout bounds the time that a server may take to connect, to respond and to allocate.
	// Default: 5 s.
	Timeout time.Duration
	// PacketTimeout bounds the wait for each packet that tests the NAT; each is sent three times.
	// Default: 700 ms.
	PacketTimeout time.Duration
	// TLS is for stuns and turns; the server name is set. Default: the system's authorities.
	TLS *tls.Config
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Timeout <= 0 {
		d.Timeout = 5 * time.Second
	}
	if d.PacketTimeout <= 0 {
		d.PacketTimeout = 700 * time.Millisecond
	}
	return d
}

// Report is what CheckServers has measured.
type Report struct {
	// Servers has one result for each server, in the order of the servers.
	Servers []ServerResult

	mappingVaries *bool // as several servers see one socket; nil if that is unknown
}

// CheckServers checks all servers at once. It sends a few dozen packets to each, and returns when
// all have responded or timed out, within some 17 s by default, or when ctx ends. What it allocates
// it frees. The results of a check that ctx ended have errors.
func CheckServers(ctx context.Context, servers []Server, options *Options) *Report {
	o := options.withDefaults()
	r := &Report{Servers: make([]ServerResult, len(servers))}
	var checks sync.WaitGroup
	for i, s := range servers {
		checks.Go(func() { r.Servers[i] = checkServer(ctx, s, o) })
	}
	checks.Go(func() { r.mappingVaries = mappingVaries(compareMappings(ctx, servers, o), hostAddresses()) })
	checks.Wait()
	return r
}

// HasRelay reports whether a TURN server has allocated a relayed address.
func (r *Report) HasRelay() bool {
	return r.has(func(s ServerResult) bool { return s.TURN })
}

// UDPBlocked reports whether servers respond over TCP or TLS, but none over UDP though some were
// tried.
func (r *Report) UDPBlocked() bool {
	udp := func(s ServerResult) bool { return s.Transport == "udp" }
	failed := slices.ContainsFunc(r.Servers, func(s ServerResult) bool { return udp(s) && s.Err != nil })
	return failed && !r.has(udp) && r.has(func(s ServerResult) bool { return !udp(s) })
}

// has reports whether a server that fits has responded as it should.
func (r *Report) has(fits func(ServerResult) bool) bool {
	return slices.ContainsFunc(r.Servers, func(s ServerResult) bool { return s.Err == nil && fits(s) })
}

// NAT returns the behaviour of the NAT of IPv4, or else of IPv6, which usually has none. It returns
// nil if no server has responded over UDP. Where some servers see the local address and others a
// mapped one, it is the NAT before the others.
func (r *Report) NAT() *NAT {
	n := r.natOf(netip.Addr.Is4)
	if n == nil {
		return r.natOf(netip.Addr.Is6)
	}
	if varies := r.mappingVaries; n.Translated && varies != nil && (n.MappingVaries == nil || *varies) {
		n.MappingVaries = varies
	}
	return n
}

// natOf returns the NAT that servers see which see the host at an address of one family: what one
// of them could measure if possible.
func (r *Report) natOf(family func(netip.Addr) bool) *NAT {
	var best *NAT
	for _, s := range r.Servers {
		if s.Err != nil || s.Transport != "udp" || !family(s.Mapped.Addr()) {
			continue
		}
		n := &NAT{Mapped: s.Mapped, Translated: s.Mapped != s.Local}
		if s.nat != nil {
			*n = *s.nat
		}
		measured := func(n *NAT) bool { return n.MappingVaries != nil || n.FiltersPorts != nil || n.Hairpinning != nil }
		if best == nil || n.Translated && !best.Translated || n.Translated == best.Translated && measured(n) && !measured(best) {
			best = n
		}
	}
	return best
}

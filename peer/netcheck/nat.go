package netcheck

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
)

// NAT is the behaviour of the NAT between the host and servers (RFC 4787). What a nil pointer
// stands for could not be measured.
type NAT struct {
	// Mapped is the host's address as a server sees it.
	Mapped netip.AddrPort
	// Translated is whether Mapped differs from the local address: without, there is no NAT.
	Translated bool
	// MappingVaries is whether different destinations see different ports: address-dependent or
	// address and port-dependent mapping, formerly called symmetric. False is endpoint-independent
	// mapping.
	MappingVaries *bool
	// FiltersPorts is whether packets from another port of a known address are dropped: address and
	// port-dependent filtering. False is endpoint-independent or address-dependent filtering.
	FiltersPorts *bool
	// Hairpinning is whether packets to the own mapped address arrive.
	Hairpinning *bool
}

// Symmetric reports whether the mapping is known to vary. A nil NAT is not known to.
func (n *NAT) Symmetric() bool { return n != nil && n.MappingVaries != nil && *n.MappingVaries }

// attempts is how often each packet is sent.
const attempts = 3

// measureNAT sends from the relayed address to the mapped one, and back. The order matters: a NAT
// lets in what comes from where the host has sent to.
func measureNAT(r *ServerResult, socket *markedConn, relayed net.PacketConn, wait time.Duration) *NAT {
	n := &NAT{Mapped: r.Mapped, Translated: r.Mapped != r.Local}
	mapped := net.UDPAddrFromAddrPort(r.Mapped)
	isRelayed := func(from netip.AddrPort) bool { return from == r.Relayed }
	_, arrived := sendUntilSeen(wait, func() bool {
		_, err := relayed.WriteTo(socket.mark[:], mapped)
		return err == nil // otherwise the server does not relay to the address, because it is private say
	}, socket.sources, isRelayed)
	filters := !arrived
	sources := make(chan netip.AddrPort, attempts)
	go func() { // ends when relayed is closed
		defer close(sources)
		buffer := make([]byte, 64)
		for {
			_, from, err := relayed.ReadFrom(buffer)
			if err != nil {
				return
			}
			select {
			case sources <- addrPortOf(from):
			default:
			}
		}
	}()
	to := net.UDPAddrFromAddrPort(r.Relayed)
	send := func() bool { return sent(socket.WriteTo(socket.mark[:], to)) }
	if from, ok := sendUntilSeen(wait, send, sources, netip.AddrPort.IsValid); ok {
		varies := from != r.Mapped
		n.MappingVaries, n.FiltersPorts = &varies, &filters
	}
	if !filters {
		n.FiltersPorts = &filters
	}
	if n.Translated {
		n.Hairpinning = measureHairpinning(socket, mapped, r.Relayed, wait)
	}
	_ = relayed.Close()
	for range sources { // until the goroutine has ended
	}
	return n
}

// measureHairpinning sends to the mapped address from another socket. Packets of the relayed
// address that come late do not count.
func measureHairpinning(socket *markedConn, mapped *net.UDPAddr, relayed netip.AddrPort, wait time.Duration) *bool {
	local, ok := socket.LocalAddr().(*net.UDPAddr)
	if !ok {
		return nil
	}
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Zone: local.Zone})
	if err != nil {
		return nil
	}
	defer other.Close()
	send := func() bool { return sent(other.WriteTo(socket.mark[:], mapped)) }
	isOther := func(from netip.AddrPort) bool { return from != relayed }
	_, ok = sendUntilSeen(wait, send, socket.sources, isOther)
	return &ok
}

func sent(_ int, err error) bool { return err == nil }

// sendUntilSeen sends until a source is seen that fits, and returns it.
func sendUntilSeen(wait time.Duration, send func() bool, sources <-chan netip.AddrPort, fits func(netip.AddrPort) bool) (netip.AddrPort, bool) {
	for range attempts {
		if !send() {
			break
		}
		timeout := time.After(wait)
		for waiting := true; waiting; {
			select {
			case from, ok := <-sources:
				if !ok || fits(from) {
					return from, ok
				}
			case <-timeout:
				waiting = false
			}
		}
	}
	return netip.AddrPort{}, false
}

// markedConn is a socket to a server that notices packets with a mark that no protocol has, and
// rejected allocations, of which pion/turn reports only some.
type markedConn struct {
	net.PacketConn
	mark     [16]byte
	sources  chan netip.AddrPort           // of such packets
	rejected atomic.Pointer[allocateError] // the latest one
}

// ReadFrom implements net.PacketConn.
func (c *markedConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(p)
	if err != nil {
		return n, from, err
	}
	if bytes.Equal(p[:n], c.mark[:]) {
		select {
		case c.sources <- addrPortOf(from):
		default:
		}
	}
	if e := allocateErrorOf(p[:n], addrPortOf(from)); e != nil {
		c.rejected.Store(e)
	}
	return n, from, nil
}

// addrPortOf returns the address of a socket, invalid if it has none.
func addrPortOf(a net.Addr) netip.AddrPort {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// compareMappings asks several servers for the mapped address of the same socket. Only servers that
// are reached over UDP and IPv4 count, each address once. It returns the mapped addresses.
func compareMappings(ctx context.Context, list []Server, o Options) []netip.AddrPort {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	servers := resolve(ctx, list)
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return nil
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for range attempts {
			for _, s := range servers {
				_, _ = conn.WriteToUDPAddrPort(request.Raw, s) // an unreachable server does not respond
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(o.PacketTimeout):
			}
		}
		_ = conn.SetReadDeadline(time.Now())
	})
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	mapped := readResponses(conn, request.TransactionID, servers)
	cancel()
	sending.Wait()
	return mapped
}

// mappingVaries returns whether mapped addresses differ, nil if fewer than two can be compared.
// Servers that see an address of the host itself are on this side of the NAT and do not count.
func mappingVaries(mapped []netip.AddrPort, own []netip.Addr) *bool {
	mapped = slices.DeleteFunc(slices.Clone(mapped), func(at netip.AddrPort) bool { return slices.Contains(own, at.Addr()) })
	if len(mapped) < 2 {
		return nil
	}
	varies := slices.ContainsFunc(mapped, func(at netip.AddrPort) bool { return at != mapped[0] })
	return &varies
}

// hostAddresses returns the addresses of the host, none if they cannot be listed.
func hostAddresses() (all []netip.Addr) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, prefix.Addr().Unmap())
		}
	}
	return all
}

// resolve returns the UDP and IPv4 addresses of servers, each once.
func resolve(ctx context.Context, servers []Server) (all []netip.AddrPort) {
	for _, s := range servers {
		u, err := stun.ParseURI(s.URL)
		if err != nil || transportOf(u) != "udp" {
			continue
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Host)
		if err != nil || len(ips) == 0 {
			continue
		}
		at, err := netip.ParseAddrPort(net.JoinHostPort(ips[0].Unmap().String(), strconv.Itoa(u.Port)))
		if err == nil && !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}

// readResponses reads until each server has responded, or the read deadline has passed.
func readResponses(conn *net.UDPConn, id [stun.TransactionIDSize]byte, servers []netip.AddrPort) (mapped []netip.AddrPort) {
	waiting := slices.Clone(servers)
	buffer := make([]byte, 1500)
	for len(waiting) > 0 {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			break
		}
		i := slices.Index(waiting, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		m := &stun.Message{Raw: slices.Clone(buffer[:n])}
		var attribute stun.XORMappedAddress
		if i < 0 || m.Decode() != nil || m.TransactionID != id || m.Type != stun.BindingSuccess || attribute.GetFrom(m) != nil {
			continue
		}
		waiting = slices.Delete(waiting, i, i+1)
		if at := addrPortOf(&net.UDPAddr{IP: attribute.IP, Port: attribute.Port}); at.IsValid() {
			mapped = append(mapped, at)
		}
	}
	return mapped
}

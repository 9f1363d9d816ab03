package relay

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// Compare asks several servers at which address they see one and the same socket of ours: if at more than one, the NAT in between gives
// each destination a port of its own (RFC 4787 §4.1, symmetric). Only servers that are reached over UDP and IPv4 count, each address
// once. It returns what was told: nil if nobody was reached.
func Compare(ctx context.Context, targets []Target, options *ProbeOptions) []netip.AddrPort {
	o := options.withDefaults()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	servers := addressesOf(ctx, targets)
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return nil
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for range sendings {
			for _, s := range servers {
				_, _ = conn.WriteToUDPAddrPort(request.Raw, s) // who cannot be reached does not answer
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(o.Answer):
			}
		}
		_ = conn.SetReadDeadline(time.Now())
	})
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	told := answers(conn, request.TransactionID, servers)
	cancel()
	sending.Wait()
	return told
}

// addressesOf are the UDP addresses of servers, each once.
func addressesOf(ctx context.Context, targets []Target) (all []netip.AddrPort) {
	for _, t := range targets {
		u, err := stun.ParseURI(t.URL)
		if err != nil || u.IsSecure() || u.Proto != stun.ProtoTypeUDP {
			continue
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Host)
		if err != nil || len(ips) == 0 {
			continue
		}
		port, err := netip.ParseAddrPort(net.JoinHostPort(ips[0].Unmap().String(), strconv.Itoa(u.Port)))
		if err == nil && !slices.Contains(all, port) {
			all = append(all, port)
		}
	}
	return all
}

// answers reads until each server has answered, or time is up.
func answers(conn *net.UDPConn, id [stun.TransactionIDSize]byte, servers []netip.AddrPort) (told []netip.AddrPort) {
	waiting := slices.Clone(servers)
	buffer := make([]byte, 1500)
	for len(waiting) > 0 {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			break
		}
		i := slices.Index(waiting, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		m := &stun.Message{Raw: slices.Clone(buffer[:n])}
		var mapped stun.XORMappedAddress
		if i < 0 || m.Decode() != nil || m.TransactionID != id || m.Type != stun.BindingSuccess || mapped.GetFrom(m) != nil {
			continue
		}
		waiting = slices.Delete(waiting, i, i+1)
		if at := addrPortOf(&net.UDPAddr{IP: mapped.IP, Port: mapped.Port}); at.IsValid() {
			told = append(told, at)
		}
	}
	return told
}

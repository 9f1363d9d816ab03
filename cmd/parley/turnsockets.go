package main

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"parley/signal"
	"parley/signal/turnserver"
)

// listen opens the sockets of the relay: UDP and TCP, at the same port.
func (t *turnSettings) listen(ctx context.Context, sockets *opened) ([]net.PacketConn, []net.Listener, error) {
	var packets []net.PacketConn
	var listeners []net.Listener
	for _, address := range t.options.Addresses {
		p, l, err := t.listenAt(ctx, address.Bind)
		if err != nil {
			return nil, nil, failf(exitFailure, "failed to open the relay on port %d: %w; is another server running there? --turn takes another port",
				t.port, err)
		}
		sockets.all = append(sockets.all, p, l)
		packets, listeners = append(packets, p), append(listeners, l)
	}
	return packets, listeners, nil
}

// portTries is how often port 0 is tried: UDP may get a port that TCP has not free.
const portTries = 20

func (t *turnSettings) listenAt(ctx context.Context, bind netip.Addr) (net.PacketConn, net.Listener, error) {
	udp, tcp := "udp4", "tcp4"
	if bind.Is6() {
		udp, tcp = "udp6", "tcp6"
	}
	var config net.ListenConfig
	for try := 1; ; try++ {
		p, err := config.ListenPacket(ctx, udp, netip.AddrPortFrom(bind, t.port).String())
		if err != nil {
			return nil, nil, err
		}
		l, err := config.Listen(ctx, tcp, p.LocalAddr().String())
		if err == nil {
			t.port = netip.MustParseAddrPort(p.LocalAddr().String()).Port()
			return p, l, nil
		}
		_ = p.Close()
		if t.port != 0 || try == portTries {
			return nil, nil, err
		}
	}
}

// offerRelay adds what a relay address can do to what is handed out. More than four URLs slow a browser's start down, so the second
// address family gets one.
func (d *desk) offerRelay(public netip.Addr, first bool) {
	at := netip.AddrPortFrom(public, d.turn.port).String()
	d.ice.temporary = append(d.ice.temporary, "turn:"+at+"?transport=udp")
	if !first {
		return
	}
	d.ice.fixed = append(d.ice.fixed, signal.ICEServer{URLs: []string{"stun:" + at}})
	d.ice.temporary = append(d.ice.temporary, "turn:"+at+"?transport=tcp")
	if d.secure != nil && d.secure.name != "" { // nobody accepts our own certificate for TURN
		host := net.JoinHostPort(d.secure.name, strconv.Itoa(int(d.turn.port)))
		d.ice.temporary = append(d.ice.temporary, "turns:"+host+"?transport=tcp")
	}
}

func stunURLs(servers []signal.ICEServer) []string {
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URLs...)
	}
	return urls
}

func publicAddresses(addresses []turnserver.Address) string {
	var list []string
	for _, a := range addresses {
		list = append(list, a.Public.String())
	}
	return strings.Join(list, " and ")
}

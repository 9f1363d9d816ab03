// Package icenet gives Pion's ICE agent the network of the host: selected interfaces, sockets with
// taps and an emulated network, ports that calls share, and connections to TURN servers.
package icenet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/transport/v4"
	"github.com/pion/webrtc/v4"
	"golang.org/x/net/proxy"

	"parley/peer/internal/tap"
	"parley/peer/internal/turnclient"
	"parley/peer/netem"
)

// Config configures a Net. The zero value is a network without TURN servers.
type Config struct {
	// Servers returns the ICE servers whose credentials and URLs are valid. It must not wait.
	// Default: none.
	Servers func() []webrtc.ICEServer
	// TLS is for TURN servers reached over TLS (turns:). Default: the system's root certificates.
	TLS *tls.Config
	// Tap sees the packets of the sockets. Default: none.
	Tap tap.Tap
	// Netem emulates a network between the sockets and their user; Tap sees what is on the wire.
	// Default: none.
	Netem *netem.Emulator
	// Interfaces selects the interfaces that are used. Default: all.
	Interfaces InterfaceFilter
}

// Net is the host's network for one connection. It must be closed.
type Net struct {
	transport.Net // with tap and netem
	host          *hostNet
	config        Config
	dialing       context.Context // of TURN servers
	stop          context.CancelFunc
	turn          *turnclient.Dialer
}

// New returns the host's network. It fails if the interfaces cannot be listed.
func New(c Config) (*Net, error) {
	host, err := newHostNet(c.Interfaces)
	if err != nil {
		return nil, err
	}
	n := &Net{Net: layered(host, c.Tap, c.Netem), host: host, config: c}
	n.dialing, n.stop = context.WithCancel(context.Background())
	n.turn = turnclient.NewDialer(n.dialing, turnclient.Config{Servers: c.Servers, TLS: c.TLS, Tap: c.Tap, DialContext: n.dial})
	return n, nil
}

// layered returns host with a tap and an emulator, either of which may be nil.
func layered(host *hostNet, t tap.Tap, emulator *netem.Emulator) transport.Net {
	var n transport.Net = host
	if t != nil {
		n = &tappedNet{host, t}
	}
	return emulator.Net(n)
}

// Update lists the interfaces again.
func (n *Net) Update() error { return n.host.UpdateInterfaces() }

// Close ends connection attempts to TURN servers and allocations that wait for a response. The
// sockets stay open: they belong to Pion.
func (n *Net) Close() { n.stop() }

// BeginBurst lets the sockets collect the datagrams that are written until EndBurst, see udp.Group.
func (n *Net) BeginBurst() { n.host.sockets.BeginBurst() }

// InBurst reports whether the sockets collect datagrams.
func (n *Net) InBurst() bool { return n.host.sockets.InBurst() }

// EndBurst sends the datagrams of the burst.
func (n *Net) EndBurst() { n.host.sockets.EndBurst() }

// ListenUDP implements transport.Net. Pion asks for sockets at any address to reach STUN servers.
func (n *Net) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	if isMDNS(local) || local != nil && len(local.IP) > 0 && !local.IP.IsUnspecified() {
		return n.Net.ListenUDP(network, local)
	}
	local, err := n.bind(network, local)
	if err != nil {
		return nil, err
	}
	return n.Net.ListenUDP(network, local)
}

// DialUDP implements transport.Net. Pion calls it for TURN servers reached over DTLS.
func (n *Net) DialUDP(network string, local, remote *net.UDPAddr) (transport.UDPConn, error) {
	if local == nil {
		var err error
		if local, err = n.bind(network, nil); err != nil {
			return nil, err
		}
	}
	return n.Net.DialUDP(network, local, remote)
}

// bind returns the address of a selected interface in place of any address, with the same port.
func (n *Net) bind(network string, local *net.UDPAddr) (*net.UDPAddr, error) {
	if !n.config.Interfaces.active() {
		return local, nil
	}
	port := 0
	if local != nil {
		port = local.Port
	}
	for _, ip := range n.sources() {
		if network == "udp" || ip.Is4() == (network == "udp4") {
			return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))), nil
		}
	}
	return nil, errNoInterface
}

// ListenPacket implements transport.Net. Pion calls it for TURN servers only. Up to v4.4.2 pion/ice
// requests IPv4 sockets for them (gatherCandidatesRelay); this one reaches IPv6 servers, too.
func (n *Net) ListenPacket(network, address string) (net.PacketConn, error) {
	if address == "0.0.0.0:0" {
		sources := n.sources()
		if len(sources) == 0 {
			return nil, errNoInterface
		}
		network, address = "udp", ":0"
		if sources[0].IsValid() {
			address = netip.AddrPortFrom(sources[0], 0).String()
		}
	}
	conn, err := n.Net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	return n.turn.PacketConn(conn), nil
}

// ResolveUDPAddr implements transport.Net. For a TURN server (network "udp") it returns an address
// to which the host has a route: an IPv4 address if possible, else an IPv6 one. The standard
// implementation prefers IPv4 without looking at routes.
func (n *Net) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	if network != "udp" {
		return n.Net.ResolveUDPAddr(network, address)
	}
	var failed error
	for _, family := range []string{"udp4", "udp6"} {
		conn, err := n.dial(n.dialing, family, address) // sends nothing
		if err == nil {
			defer conn.Close()
			return conn.RemoteAddr().(*net.UDPAddr), nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// ProxyDialer returns a dialer of TURN servers over TCP and TLS for Pion's SetICEProxyDialer.
func (n *Net) ProxyDialer() proxy.Dialer { return n.turn }

// dial connects to a server from a selected interface.
func (n *Net) dial(ctx context.Context, network, address string) (net.Conn, error) {
	failed := errNoInterface
	for _, source := range n.sources() {
		d := &net.Dialer{}
		switch {
		case !source.IsValid():
		case strings.HasPrefix(network, "tcp"):
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		default:
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		}
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

// sources returns the addresses from which servers are reached: with a filter one address of a
// family, that towards the Internet if it is selected, else the invalid address for any.
func (n *Net) sources() []netip.Addr {
	if !n.config.Interfaces.active() {
		return []netip.Addr{{}}
	}
	interfaces, err := n.host.Interfaces()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if ip, ok := usableAddress(a); ok && i.Flags&net.FlagUp != 0 {
				all = append(all, ip)
			}
		}
	}
	preferred := routeAddresses()
	slices.SortStableFunc(all, func(a, b netip.Addr) int {
		rank := func(ip netip.Addr) int {
			switch {
			case slices.Contains(preferred, ip):
				return 0
			case ip.IsLoopback():
				return 2
			}
			return 1
		}
		return cmp.Compare(rank(a), rank(b))
	})
	var sources []netip.Addr
	for _, is4 := range []bool{true, false} {
		if i := slices.IndexFunc(all, func(ip netip.Addr) bool { return ip.Is4() == is4 }); i >= 0 {
			sources = append(sources, all[i])
		}
	}
	return sources
}

// errNoInterface is returned where no selected interface has an address.
var errNoInterface = errors.New("no address on the selected interfaces; see --interface and --exclude-interface")

// Package icenet opens the sockets of a call for ICE.
package icenet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/tap"
	"parley/peer/netem"
)

// Config configures a Net. The zero value is a network without TURN servers.
type Config struct {
	// Servers returns the ICE servers whose credentials and URLs are valid. It must not wait.
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

// servers returns the ICE servers.
func (c *Config) servers() []webrtc.ICEServer {
	if c.Servers == nil {
		return nil
	}
	return c.Servers()
}

// passwords returns the passwords that a user of a TURN server may have.
func (c *Config) passwords(user string) (all []string) {
	for _, s := range c.servers() {
		if password, ok := s.Credential.(string); ok && s.Username == user {
			all = append(all, password)
		}
	}
	return all
}

// tlsServerName returns the host of the turns: server at an address; ok is false if there is none.
func (c *Config) tlsServerName(address string) (host string, ok bool) {
	for _, s := range c.servers() {
		for _, url := range s.URLs {
			u, err := stun.ParseURI(url)
			if err == nil && u.Scheme == stun.SchemeTypeTURNS && hostPort(u) == address {
				return u.Host, true
			}
		}
	}
	return "", false
}

// Net is the host's network as one call uses it. It must be closed.
type Net struct {
	transport.Net // with tap and netem
	host          *hostNet
	config        Config
	dialing       context.Context // of TURN servers
	stop          context.CancelFunc
}

// New returns the host's network.
func New(c Config) (*Net, error) {
	host, err := newHostNet(c.Interfaces)
	if err != nil {
		return nil, err
	}
	n := &Net{Net: layered(host, c.Tap, c.Netem), host: host, config: c}
	n.dialing, n.stop = context.WithCancel(context.Background())
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

// Close aborts connection attempts to TURN servers.
func (n *Net) Close() { n.stop() }

// BeginBurst lets the sockets collect the datagrams that are written until EndBurst, see udp.Group.
func (n *Net) BeginBurst() { n.host.sockets.BeginBurst() }

// InBurst reports whether the sockets collect datagrams.
func (n *Net) InBurst() bool { return n.host.sockets.InBurst() }

// EndBurst sends the datagrams of the burst.
func (n *Net) EndBurst() { n.host.sockets.EndBurst() }

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

// udpReadBuffer is the receive buffer requested for each UDP socket, in bytes. The usual 208 KiB
// overflow during bulk transfer, and SCTP takes that for congestion.
const udpReadBuffer = 4 << 20

// ListenUDP implements transport.Net.
func (n *hostNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.listenUDP(network, local)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil && !isMDNS(local) {
		return n.sockets.Wrap(udp), nil
	}
	return conn, err
}

// listenUDP opens a UDP socket. It returns the connection unwrapped because Pion looks for more
// methods on it than the interface has.
func (n *hostNet) listenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err == nil {
		_ = conn.SetReadBuffer(udpReadBuffer) // the kernel caps it
	}
	return conn, err
}

func newHostNet(filter InterfaceFilter) (*hostNet, error) {
	host, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("failed to list the network interfaces: %w", err)
	}
	return &hostNet{Net: host, filter: filter}, nil
}

// tappedNet is the host's network with a tap.
type tappedNet struct {
	*hostNet
	tap tap.Tap
}

// ListenUDP implements transport.Net.
func (n *tappedNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.hostNet.listenUDP(network, local)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil && !isMDNS(local) {
		return tap.UDP(udp, n.tap), nil
	}
	return conn, err
}

// ListenPacket implements transport.Net.
func (n *tappedNet) ListenPacket(network, address string) (net.PacketConn, error) {
	conn, err := n.hostNet.ListenPacket(network, address)
	if udp, ok := conn.(*net.UDPConn); ok && err == nil {
		return tap.UDP(udp, n.tap), nil
	}
	return conn, err
}

const mdnsPort = 5353

// isMDNS reports whether a socket is that of multicast DNS, which Pion needs unwrapped.
func isMDNS(local *net.UDPAddr) bool {
	return local != nil && (local.IP.IsMulticast() || local.Port == mdnsPort)
}

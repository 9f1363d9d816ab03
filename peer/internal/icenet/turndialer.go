package icenet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v4"
	"golang.org/x/net/proxy"

	"parley/peer/internal/tap"
)

// turnDialTimeout bounds the connection to a TURN server and the TLS handshake. The kernel tries
// for two minutes, during which Pion would wait, even while it is being closed.
const turnDialTimeout = 10 * time.Second

// turnDialer connects to TURN servers over TCP, of IPv4 or IPv6. Pion has no setting for the root
// certificates of TURN servers but leaves TLS to its proxy dialer if there is one (pion/ice,
// gatherCandidatesRelay).
type turnDialer struct {
	net     *Net
	timeout time.Duration // 0 for turnDialTimeout
}

// ProxyDialer returns a dialer of TURN servers for Pion's SetICEProxyDialer.
func (n *Net) ProxyDialer() proxy.Dialer { return &turnDialer{net: n} }

// Dial implements proxy.Dialer. It ignores the network, for which Pion passes IPv4 always. If turn:
// and turns: have one address, it uses TLS for both.
func (d *turnDialer) Dial(_, address string) (net.Conn, error) {
	host, secure := d.net.config.tlsServerName(address)
	dial := d.dialTCP
	if secure {
		dial = func(address, domain string) (net.Conn, error) { return d.dialTLS(address, cmp.Or(domain, host)) }
	}
	conn, err := dial(address, "")
	if err != nil {
		return nil, err
	}
	return newTURNStream(d.net.dialing, conn, d.net.config.passwords, func(server netip.AddrPort, domain string) (net.Conn, error) {
		return dial(server.String(), domain)
	}), nil
}

func (d *turnDialer) dialTCP(address, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.net.dialing, cmp.Or(d.timeout, turnDialTimeout))
	defer cancel()
	conn, err := d.net.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return tap.TCP(conn, d.net.config.Tap), nil
}

// dialTLS connects to a server with the certificate of a domain.
func (d *turnDialer) dialTLS(address, domain string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.net.dialing, cmp.Or(d.timeout, turnDialTimeout))
	defer cancel()
	config := &tls.Config{}
	if d.net.config.TLS != nil {
		config = d.net.config.TLS.Clone()
	}
	config.ServerName = domain
	conn, err := d.net.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

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
	return newTURNPacketConn(n.dialing, conn, n.config.passwords), nil
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

// hostPort returns the address of an ICE server.
func hostPort(u *stun.URI) string { return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) }

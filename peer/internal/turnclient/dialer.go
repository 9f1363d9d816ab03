// Package turnclient connects Pion's TURN client to servers over UDP, TCP and TLS. It completes the
// client's allocations (RFC 8656): alternate servers, IPv6 relays, an end when the call ends.
package turnclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/tap"
)

// Config configures a Dialer.
type Config struct {
	// Servers returns the ICE servers whose credentials and URLs are valid. It must not wait.
	// Default: none.
	Servers func() []webrtc.ICEServer
	// TLS is for servers reached over TLS (turns:). Default: the system's root certificates.
	TLS *tls.Config
	// Tap sees what is sent and received over TCP without TLS. Default: none.
	Tap tap.Tap
	// DialContext connects to a server over TCP, of IPv4 or IPv6.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// dialTimeout bounds the connection to a TURN server and the TLS handshake. The kernel tries for
// two minutes, during which Pion would wait, even while it is being closed.
const dialTimeout = 10 * time.Second

// Dialer connects to TURN servers, as a proxy.Dialer for Pion's SetICEProxyDialer. Pion has no
// setting for the root certificates of TURN servers but leaves TLS to its proxy dialer if there is
// one (pion/ice, gatherCandidatesRelay).
type Dialer struct {
	ctx     context.Context
	config  Config
	timeout time.Duration
}

// NewDialer returns a dialer. When ctx is done, connection attempts and allocations that wait for a
// response end; allocations that were granted do not.
func NewDialer(ctx context.Context, c Config) *Dialer {
	return &Dialer{ctx: ctx, config: c, timeout: dialTimeout}
}

// PacketConn returns a UDP socket to a TURN server. It closes conn when it is closed.
func (d *Dialer) PacketConn(conn net.PacketConn) net.PacketConn {
	return newPacketConn(d.ctx, conn, d.passwords)
}

// Dial implements proxy.Dialer. It ignores the network, for which Pion passes IPv4 always. If turn:
// and turns: have one address, it uses TLS for both.
func (d *Dialer) Dial(_, address string) (net.Conn, error) {
	host, secure := d.tlsServerName(address)
	dial := d.dialTCP
	if secure {
		dial = func(address, domain string) (net.Conn, error) { return d.dialTLS(address, cmp.Or(domain, host)) }
	}
	conn, err := dial(address, "")
	if err != nil {
		return nil, err
	}
	return newStream(d.ctx, conn, d.passwords, func(server netip.AddrPort, domain string) (net.Conn, error) {
		return dial(server.String(), domain)
	}), nil
}

// dialTCP connects to a server without TLS.
func (d *Dialer) dialTCP(address, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, d.timeout)
	defer cancel()
	conn, err := d.config.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return tap.TCP(conn, d.config.Tap), nil
}

// dialTLS connects to a server with the certificate of a domain.
func (d *Dialer) dialTLS(address, domain string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, d.timeout)
	defer cancel()
	config := &tls.Config{}
	if d.config.TLS != nil {
		config = d.config.TLS.Clone()
	}
	config.ServerName = domain
	conn, err := d.config.DialContext(ctx, "tcp", address)
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

// servers returns the ICE servers.
func (d *Dialer) servers() []webrtc.ICEServer {
	if d.config.Servers == nil {
		return nil
	}
	return d.config.Servers()
}

// passwords returns the passwords that a user of a TURN server may have.
func (d *Dialer) passwords(user string) (all []string) {
	for _, s := range d.servers() {
		if password, ok := s.Credential.(string); ok && s.Username == user {
			all = append(all, password)
		}
	}
	return all
}

// tlsServerName returns the host of the turns: server at an address; ok is false if there is none.
func (d *Dialer) tlsServerName(address string) (host string, ok bool) {
	for _, s := range d.servers() {
		for _, url := range s.URLs {
			u, err := stun.ParseURI(url)
			if err == nil && u.Scheme == stun.SchemeTypeTURNS && net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) == address {
				return u.Host, true
			}
		}
	}
	return "", false
}

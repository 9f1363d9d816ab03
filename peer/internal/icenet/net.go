// Package icenet opens the sockets of a call for ICE.
package icenet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"

	"parley/peer/netem"
)

// Config configures a Net. The zero value is a network without TURN servers.
type Config struct {
	// Servers returns the ICE servers whose credentials and URLs are valid. It must not wait.
	Servers func() []webrtc.ICEServer
	// TLS is for TURN servers reached over TLS (turns:). Default: the system's root certificates.
	TLS *tls.Config
	// Tap sees the packets of the sockets. Default: none.
	Tap Tap
	// Netem emulates a network between the sockets and their user; Tap sees what is on the wire.
	// Default: none.
	Netem *netem.Emulator
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
	host, err := newHostNet()
	if err != nil {
		return nil, err
	}
	n := &Net{Net: layered(host, c.Tap, c.Netem), host: host, config: c}
	n.dialing, n.stop = context.WithCancel(context.Background())
	return n, nil
}

// layered returns host with a tap and an emulator, either of which may be nil.
func layered(host *hostNet, tap Tap, emulator *netem.Emulator) transport.Net {
	var n transport.Net = host
	if tap != nil {
		n = &tappedNet{host, tap}
	}
	return emulator.Net(n)
}

// Update lists the interfaces again.
func (n *Net) Update() error { return n.host.UpdateInterfaces() }

// Close aborts connection attempts to TURN servers.
func (n *Net) Close() { n.stop() }

// udpReadBuffer is the receive buffer requested for each UDP socket, in bytes. The usual 208 KiB
// overflow during bulk transfer, and SCTP takes that for congestion.
const udpReadBuffer = 4 << 20

// ListenUDP implements transport.Net. It returns the connection unwrapped because Pion looks for
// more methods on it than the interface has.
func (n *hostNet) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, local)
	if err == nil {
		_ = conn.SetReadBuffer(udpReadBuffer) // the kernel caps it
	}
	return conn, err
}

func newHostNet() (*hostNet, error) {
	host, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("failed to list the network interfaces: %w", err)
	}
	return &hostNet{Net: host}, nil
}

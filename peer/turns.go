package peer

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// turnsWait bounds a connection to a TURN server and its handshake. The kernel
// tries for two minutes, for which Pion would wait, even when it is being closed.
const turnsWait = 10 * time.Second

// turnsDialer connects to TURN servers over TCP, of IPv4 or IPv6. Pion has no
// setting for the certificates of those that want TLS, but leaves TLS to its proxy
// dialer if there is one (pion/ice, gatherCandidatesRelay), which this is.
type turnsDialer struct {
	config  *Config
	dialing context.Context // over when the connection is closed
	limit   time.Duration   // of a connection and its handshake; 0 is turnsWait
}

// servers are those of now, and of the beginning of the call.
func (c *Config) servers() []webrtc.ICEServer {
	servers := c.ICEServers
	if c.FreshICEServers != nil {
		servers = append(servers[:len(servers):len(servers)], c.FreshICEServers()...)
	}
	return servers
}

// passwords are those that a user of a TURN server may have.
func (c *Config) passwords(user string) (all []string) {
	for _, s := range c.servers() {
		if password, ok := s.Credential.(string); ok && s.Username == user {
			all = append(all, password)
		}
	}
	return all
}

// secured is the host of the server at an address that is to be reached over TLS.
func (c *Config) secured(address string) (host string, ok bool) {
	for _, s := range c.servers() {
		for _, url := range s.URLs {
			u, err := stun.ParseURI(url)
			if err == nil && u.Scheme == stun.SchemeTypeTURNS && net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) == address {
				return u.Host, true
			}
		}
	}
	return "", false
}

// Dial implements golang.org/x/net/proxy.Dialer; Pion names IPv4 always. A server
// with turn: and turns: at one address tells them apart by itself, and so TLS is as
// good for both.
func (d *turnsDialer) Dial(_, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.dialing, cmp.Or(d.limit, turnsWait))
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	host, ok := d.config.secured(address)
	if !ok {
		return newRelayStream(tappedConn(conn, d.config.Tap), d.config.passwords), nil
	}
	config := &tls.Config{}
	if d.config.TLS != nil {
		config = d.config.TLS.Clone()
	}
	config.ServerName = host
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return newRelayStream(secure, d.config.passwords), nil
}

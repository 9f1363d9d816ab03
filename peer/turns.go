package peer

import (
	"crypto/tls"
	"net"
	"strconv"
	"time"

	"github.com/pion/stun/v4"
)

// turnsWait bounds a connection to a TURN server and its handshake.
const turnsWait = 10 * time.Second

// turnsDialer connects to TURN servers over TCP. Pion has no setting for the
// certificates of those that want TLS, but leaves TLS to its proxy dialer
// if there is one (pion/ice, gatherCandidatesRelay), which this is.
type turnsDialer struct {
	config  *tls.Config
	tap     Tap                      // nil for none
	secured func() map[string]string // host:port of the servers to be reached over TLS, and the host
}

func newTurnsDialer(c *Config) *turnsDialer {
	return &turnsDialer{c.TLS, c.Tap, func() map[string]string {
		servers := c.ICEServers
		if c.FreshICEServers != nil {
			servers = append(servers[:len(servers):len(servers)], c.FreshICEServers()...)
		}
		secured := make(map[string]string)
		for _, s := range servers {
			for _, url := range s.URLs {
				if u, err := stun.ParseURI(url); err == nil && u.Scheme == stun.SchemeTypeTURNS {
					secured[net.JoinHostPort(u.Host, strconv.Itoa(u.Port))] = u.Host
				}
			}
		}
		return secured
	}}
}

// Dial implements golang.org/x/net/proxy.Dialer. A server with turn: and turns:
// at one address tells them apart by itself, and so TLS is as good for both.
func (d *turnsDialer) Dial(network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: turnsWait}
	host, ok := d.secured()[address]
	if !ok {
		conn, err := dialer.Dial(network, address)
		if err != nil {
			return nil, err
		}
		return tappedConn(conn, d.tap), nil
	}
	config := d.config.Clone()
	config.ServerName = host
	conn, err := tls.DialWithDialer(dialer, network, address, config)
	if err != nil {
		return nil, err // not a nil *tls.Conn
	}
	return conn, nil
}

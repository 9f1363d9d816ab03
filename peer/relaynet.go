package peer

import (
	"context"
	"errors"
	"net"

	"github.com/pion/transport/v4"
)

// relayNet is a network on which Pion reaches TURN servers over IPv6 too. Up to
// v4.4.2 pion/ice asks for sockets of IPv4 alone towards them
// (gatherCandidatesRelay); TCP is turnsDialer's.
type relayNet struct {
	transport.Net
	dialing context.Context            // over when the connection is closed
	secret  func(user string) []string // the passwords that a user of a TURN server may have
}

// ListenPacket implements transport.Net. It is called for TURN servers alone.
func (n *relayNet) ListenPacket(network, address string) (net.PacketConn, error) {
	if address == "0.0.0.0:0" {
		network, address = "udp", ":0"
	}
	conn, err := n.Net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	return newRelaySocket(conn, n.secret), nil
}

// ResolveUDPAddr implements transport.Net. Of a TURN server, for which either
// family is asked, it returns an address that this machine has a way to: that of
// IPv4, or else of IPv6. The standard one returns that of IPv4 anyway.
func (n *relayNet) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	if network != "udp" {
		return n.Net.ResolveUDPAddr(network, address)
	}
	var failed error
	for _, family := range []string{"udp4", "udp6"} {
		conn, err := (&net.Dialer{}).DialContext(n.dialing, family, address) // sends nothing
		if err == nil {
			defer conn.Close()
			return conn.RemoteAddr().(*net.UDPAddr), nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

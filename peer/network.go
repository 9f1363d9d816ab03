package peer

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/icenet"
	"parley/peer/netem"
)

// A Tap sees the packets of the sockets of a call, encrypted as they are on the wire. Its methods
// are called from many goroutines, must not wait and must not keep data. It does not see ICE-TCP
// connections that Pion dials, nor TLS to a TURN server.
type Tap interface {
	// Datagram handles a UDP datagram. local has no IP if the socket is bound to all addresses.
	Datagram(out bool, local, remote netip.AddrPort, data []byte)
	// Segment handles a piece of a TCP stream.
	Segment(out bool, local, remote netip.AddrPort, data []byte)
}

// ListenMux opens a UDP port for many calls, see ICEConfig.UDPMux. The caller closes it after the last of
// them. tap, if not nil, sees its packets, emulator, if not nil, is between it and the calls, and
// interfaces selects the interfaces that it listens on.
func ListenMux(port uint16, loopback bool, interfaces InterfaceFilter, tap Tap, emulator *netem.Emulator) (ice.UDPMux, error) {
	return icenet.ListenUDPMux(port, loopback, icenet.Config{Tap: tap, Netem: emulator, Interfaces: icenet.InterfaceFilter(interfaces)})
}

// InterfaceFilter selects network interfaces by glob patterns of their names, see path.Match. An
// interface is used if a pattern of Include matches, or Include is empty, and none of Exclude.
type InterfaceFilter struct{ Include, Exclude []string }

// Check returns an error for the first invalid pattern.
func (f InterfaceFilter) Check() error {
	for _, pattern := range slices.Concat(f.Include, f.Exclude) {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("invalid pattern %q: want the name of an interface, such as eth0 or docker*", pattern)
		}
	}
	return nil
}

// ListenTCP opens a TCP port to which peers connect where UDP is blocked (ICE-TCP, RFC 6544), see
// ICEConfig.TCPMux. The caller closes it after the last call. tap, if not nil, sees its packets.
func ListenTCP(port uint16, logger *slog.Logger, tap Tap) (ice.TCPMux, error) {
	return icenet.ListenTCPMux(port, (&pionLog{log: logger}).NewLogger("ice"), tap)
}

// hostNet returns the host's network for one connection, nil with Config.Net.
func (c *Config) hostNet() (*icenet.Net, error) {
	if c.Net != nil {
		return nil, nil
	}
	return icenet.New(icenet.Config{Servers: c.servers, TLS: c.ICE.TLS, Tap: c.Tap, Netem: c.Netem, Interfaces: icenet.InterfaceFilter(c.ICE.Interfaces)})
}

// servers returns the ICE servers of the beginning of the call and those of now.
func (c *Config) servers() []webrtc.ICEServer {
	servers := c.ICE.Servers
	if c.ICE.FreshServers != nil {
		servers = append(servers[:len(servers):len(servers)], c.ICE.FreshServers()...)
	}
	return servers
}

// addressInterval is how often a call checks whether the host's addresses have changed.
const addressInterval = 2 * time.Second

// hostAddresses returns the host's addresses and reports whether they have changed since the
// previous call. Those of a simulated network do not change.
func (c *Call) hostAddresses() (list []string, changed bool) {
	if c.cfg.Net != nil {
		return nil, false
	}
	return c.addresses.Changed(icenet.InterfaceFilter(c.cfg.ICE.Interfaces))
}

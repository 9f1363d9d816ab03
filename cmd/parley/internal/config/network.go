package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/netem"
	"parley/signal"
)

// Network says which paths the packets of a call may take.
type Network struct {
	ICEServers       []webrtc.ICEServer // of --ice-server
	RelayOnly        bool
	MinPort, MaxPort uint16 // of UDP, 0 for any; if they are the same, all calls share the port
	TCPPort          uint16 // 0 for none
	AdvertiseIPs     []string
	Interfaces       peer.InterfaceFilter
	Impair           *netem.Config // nil for none
}

// NetworkFlags are the flags of Network.
func NetworkFlags() []cli.Flag {
	return Category("NETWORK", []cli.Flag{
		Strings("ice-server", "`URL`: stun:HOST, or turn:HOST,USER,SECRET, or @FILE with one on each line; repeatable"),
		String("ice-policy", "all", "`POLICY`: all, or relay: through a TURN server only"),
		String("udp-ports", "", "`MIN:MAX` of the UDP ports to use; if they are one, all calls share it"),
		Int("tcp-port", 0, "be reachable by TCP at `PORT` too, where no UDP gets through (ICE over TCP); to others who are, we connect anyway"),
		Strings("interface", "use only network interfaces whose name matches `PATTERN`, such as 'eth*'; repeatable"),
		Strings("exclude-interface", "do not use network interfaces whose name matches `PATTERN`, such as 'docker*'; repeatable"),
		Strings("advertise-ip", "`IP` to offer in place of this machine's own; repeatable"),
		String("impair", "", "emulate a bad network for our own UDP packets, both ways, by `SETTINGS`: 'loss=5% delay=40ms jitter=10ms reorder=1% duplicate=1% rate=500kbit queue=100ms outage=3s@10s seed=7', any of these; "+
			"the same seed does the same to the nth packet of a kind. outage=D@T: nothing gets through for D, T after the first packet of the call. TCP is not touched"),
	})
}

// ReadNetwork reads the flags of NetworkFlags.
func ReadNetwork(cmd *cli.Command) (n Network, err error) {
	servers, err := Expand("ice-server", cmd.StringSlice("ice-server"))
	if err != nil {
		return n, err
	}
	if n.ICEServers, err = iceServers(servers); err != nil {
		return n, err
	}
	switch policy := cmd.String("ice-policy"); policy {
	case "", "all":
	case "relay":
		n.RelayOnly = true
	default:
		return n, exit.Usagef("invalid --ice-policy %q: want all or relay", sanitize.Text(policy))
	}
	n.Interfaces = peer.InterfaceFilter{Include: cmd.StringSlice("interface"), Exclude: cmd.StringSlice("exclude-interface")}
	if err := n.Interfaces.Check(); err != nil {
		return n, exit.Usagef("--interface, --exclude-interface: %s", sanitize.Text(err.Error()))
	}
	n.AdvertiseIPs = cmd.StringSlice("advertise-ip")
	for _, ip := range n.AdvertiseIPs {
		if a, err := netip.ParseAddr(ip); err != nil || a.IsUnspecified() || a.Zone() != "" {
			return n, exit.Usagef("invalid --advertise-ip %q: want an address, such as 198.51.100.7", sanitize.Text(ip))
		}
	}
	if text := cmd.String("impair"); text != "" {
		c, err := netem.Parse(text)
		if err != nil {
			return n, exit.Usagef("--impair: %s", sanitize.Text(err.Error()))
		}
		n.Impair = &c
	}
	tcp := cmd.Int("tcp-port")
	if tcp < 0 || tcp > 65535 {
		return n, exit.Usagef("invalid --tcp-port %d: want a port, 1 to 65535", tcp)
	}
	n.TCPPort = uint16(tcp)
	n.MinPort, n.MaxPort, err = PortRange("udp-ports", cmd.String("udp-ports"))
	return n, err
}

// iceServers parses the values of --ice-server.
func iceServers(values []string) ([]webrtc.ICEServer, error) {
	var servers []webrtc.ICEServer
	for _, v := range values {
		parts := strings.SplitN(v, ",", 3)
		s := webrtc.ICEServer{URLs: parts[:1]}
		scheme, _, _ := strings.Cut(parts[0], ":")
		switch {
		case scheme != "stun" && scheme != "stuns" && scheme != "turn" && scheme != "turns":
			return nil, exit.Usagef("invalid --ice-server %q: want stun:, stuns:, turn: or turns: before the host", signal.PrintableURL(parts[0]))
		case strings.HasPrefix(scheme, "turn") && len(parts) != 3:
			return nil, exit.Usagef("invalid --ice-server %q: want turn:HOST,USER,SECRET", signal.PrintableURL(parts[0]))
		case len(parts) == 3:
			s.Username, s.Credential = parts[1], parts[2]
		}
		if _, err := stun.ParseURI(parts[0]); err != nil { // err has the URL
			return nil, exit.Usagef("invalid --ice-server %q: want stun:HOST[:PORT], or turn: or turns: with [?transport=udp]", signal.PrintableURL(parts[0]))
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// PortRange parses the value MIN:MAX of a flag, "" for 0 and 0.
func PortRange(flag, s string) (low, high uint16, err error) {
	if s == "" {
		return 0, 0, nil
	}
	a, b, _ := strings.Cut(s, ":")
	l, err1 := strconv.ParseUint(a, 10, 16)
	h, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || l == 0 || l > h {
		return 0, 0, exit.Usagef("invalid --%s %q: want MIN:MAX, such as 50000:50100", flag, sanitize.Text(s))
	}
	return uint16(l), uint16(h), nil
}

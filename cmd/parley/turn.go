package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal"
	"parley/signal/server"
	"parley/signal/turnserver"
)

func turnFlags() []cli.Flag {
	quota := func(name string, value int, usage string) cli.Flag {
		return &cli.IntFlag{Name: name, Value: value, Usage: usage + "; 0: unlimited", Sources: variable(name)}
	}
	return inCategory("STUN AND TURN", []cli.Flag{
		listFlag("ice-server", "`URL` of a STUN or TURN server to hand to clients at login; turn:HOST,USER,SECRET, or turn:HOST for credentials made with --turn-secret; or @FILE with one on each line; repeatable"),
		stringFlag("turn", "", "run STUN and TURN at `ADDRESS`, such as :3478, for UDP and TCP, and TLS with a certificate; handed to clients at login"),
		boolFlag("turn-open", "let everybody use TURN; without it --turn requires --auth-jwt or --auth-webhook, except on loopback"),
		stringFlag("turn-secret", "", "makes the credentials of clients; coturn's static-auth-secret (default: a random one). Other users of this machine can see it, so prefer --turn-secret-file"),
		stringFlag("turn-secret-file", "", "`FILE` with the secret of --turn-secret"),
		durationFlag("turn-ttl", 24*time.Hour, "how long credentials can begin a call; clients have fresh ones before that"),
		listFlag("turn-external-ip", "public `IP` of this machine; repeatable, one for IPv4 and one for IPv6"),
		listFlag("turn-allowed-peer-ip", "`CIDR` of private addresses that clients may send to through TURN, such as 192.168.0.0/16; repeatable"),
		stringFlag("turn-ports", "", "`MIN:MAX` of the UDP ports of allocations"),
		quota("turn-user-quota", 32, "`NUMBER` of allocations of a user"),
		quota("turn-address-quota", 128, "`NUMBER` of allocations of clients at one address (/64 for IPv6), which also limits their connections and requests"),
		quota("turn-total-quota", 2000, "`NUMBER` of allocations in all"),
	})
}

// turnSettings is the TURN server of --turn.
type turnSettings struct {
	host    string // an IP address, "" for all
	port    uint16 // 0 until a free one is found
	options turnserver.Options
	server  *turnserver.Server // nil until it is open
}

// readTurn reads the flags of ICE servers.
func (srv *parleyServer) readTurn(cmd *cli.Command) error {
	secret, err := secretFlag(cmd, "turn-secret")
	if err != nil {
		return err
	}
	if secret == "" && cmd.String("turn") != "" {
		secret = randomHex(32)
	}
	if ttl := cmd.Duration("turn-ttl"); ttl <= 0 {
		return exit.Usagef("invalid --turn-ttl %s: want more than 0", ttl)
	}
	if secret != "" {
		srv.ice.credentials = &turnserver.Credentials{Secret: secret, TTL: cmd.Duration("turn-ttl")}
	}
	servers, err := expandFiles("ice-server", cmd.StringSlice("ice-server"))
	if err != nil {
		return err
	}
	for _, v := range servers {
		if err := srv.ice.add(v); err != nil {
			return err
		}
	}
	if srv.ice.hasTURN() && srv.options.Auth == nil && !cmd.Bool("turn-open") && !allLoopback(srv.addresses...) {
		srv.report.Warnf("--ice-server: everybody who reaches this server gets credentials of the TURN server; " +
			"require a login with --auth-jwt or --auth-webhook, or allow everybody with --turn-open")
	}
	if cmd.String("turn") != "" {
		return srv.readTurnServer(cmd)
	}
	if cmd.Bool("turn-open") && !srv.ice.hasTURN() {
		return exit.Usagef("--turn-open is of use with --turn only, or with --ice-server turn:HOST")
	}
	return refuseWithout(cmd, "turn", "turn-external-ip", "turn-allowed-peer-ip", "turn-ports",
		"turn-user-quota", "turn-address-quota", "turn-total-quota")
}

// refuseWithout returns an error if one of the flags is given without the one that they need.
func refuseWithout(cmd *cli.Command, needed string, flags ...string) error {
	for _, f := range flags {
		if cmd.IsSet(f) {
			return exit.Usagef("--%s is of use with --%s only", f, needed)
		}
	}
	return nil
}

// readTurnServer reads the flags of the TURN server of this process.
func (srv *parleyServer) readTurnServer(cmd *cli.Command) (err error) {
	t := &turnSettings{options: turnserver.Options{
		Credentials: *srv.ice.credentials, TLS: srv.secure.turnTLS(), Logger: srv.logger,
	}}
	for flag, limit := range map[string]*int{
		"turn-user-quota":    &t.options.UserQuota,
		"turn-address-quota": &t.options.AddressQuota,
		"turn-total-quota":   &t.options.TotalQuota,
	} {
		n := cmd.Int(flag)
		if n < 0 {
			return exit.Usagef("invalid --%s %d: want a number of allocations, or 0 for unlimited", flag, n)
		}
		*limit = zeroMeansUnlimited(n)
	}
	if t.host, t.port, err = turnAddress(cmd.String("turn")); err != nil {
		return err
	}
	ports := cmd.String("turn-ports")
	if t.options.MinPort, t.options.MaxPort, err = portRange(ports); err != nil {
		return exit.Usagef("invalid --turn-ports %q: want MIN:MAX, such as 50000:50999", sanitize.Text(ports))
	}
	if t.options.AllowedPeers, err = prefixes("turn-allowed-peer-ip", cmd.StringSlice("turn-allowed-peer-ip")); err != nil {
		return err
	}
	if t.options.Addresses, err = t.addresses(cmd.StringSlice("turn-external-ip")); err != nil {
		return err
	}
	if srv.options.Auth == nil && !cmd.Bool("turn-open") && !allLoopback(cmd.String("turn")) {
		return exit.Usagef("--turn %s: without a login everybody could relay through this machine; "+
			"require a login with --auth-jwt or --auth-webhook, or allow everybody with --turn-open", sanitize.Text(cmd.String("turn")))
	}
	srv.turn = t
	return nil
}

// turnAddress parses HOST:PORT, HOST or :PORT. HOST is an IP address, since clients get relayed
// addresses as IP addresses. The default port is 3478 (RFC 8656 section 5).
func turnAddress(s string) (host string, port uint16, err error) {
	host, service, splitErr := net.SplitHostPort(s)
	if splitErr != nil {
		host, service = s, "3478"
	}
	n, portErr := strconv.ParseUint(service, 10, 16)
	if _, err := netip.ParseAddr(host); portErr != nil || host != "" && err != nil {
		return "", 0, exit.Usagef("invalid --turn %q: want ADDRESS:PORT, such as :3478 or 192.0.2.1:3478", sanitize.Text(s))
	}
	return host, uint16(n), nil
}

// allLoopback reports whether only this machine reaches listening addresses, HOST:PORT or HOST.
func allLoopback(addresses ...string) bool {
	return !slices.ContainsFunc(addresses, func(address string) bool {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		ip, err := netip.ParseAddr(host)
		return host != "localhost" && (err != nil || !ip.Unmap().IsLoopback())
	})
}

// addresses returns the addresses of allocations. external are the values of --turn-external-ip.
func (t *turnSettings) addresses(external []string) ([]turnserver.Address, error) {
	bind := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	if t.host != "" {
		if a := netip.MustParseAddr(t.host).Unmap(); !a.IsUnspecified() {
			bind = []netip.Addr{a}
		}
	}
	var addresses []turnserver.Address
	for _, b := range bind {
		if public := outgoingAddress(b); public.IsValid() {
			addresses = append(addresses, turnserver.Address{Bind: b, Public: public})
		}
	}
	for _, s := range external {
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.IsUnspecified() || ip.Zone() != "" {
			return nil, exit.Usagef("invalid --turn-external-ip %q: want an address, such as 198.51.100.7", sanitize.Text(s))
		}
		ip = ip.Unmap()
		if i := slices.IndexFunc(addresses, func(a turnserver.Address) bool { return a.Bind.Is4() == ip.Is4() }); i >= 0 {
			addresses[i].Public = ip
		} else if i := slices.IndexFunc(bind, func(b netip.Addr) bool { return b.Is4() == ip.Is4() }); i >= 0 {
			addresses = append(addresses, turnserver.Address{Bind: bind[i], Public: ip})
		} else {
			return nil, exit.Usagef("invalid --turn-external-ip %s: want an address of the family of --turn", ip)
		}
	}
	if len(addresses) == 0 { // no network: for peers on this machine
		addresses = append(addresses, turnserver.Address{Bind: bind[0], Public: netip.AddrFrom4([4]byte{127, 0, 0, 1})})
	}
	return addresses, nil
}

// outgoingAddress returns bind, or if it is unspecified the address from which this machine sends
// to others of the family. It is invalid if there is none.
func outgoingAddress(bind netip.Addr) netip.Addr {
	if !bind.IsUnspecified() {
		return bind
	}
	network, target := "udp4", "192.88.99.1:9"
	if bind.Is6() {
		network, target = "udp6", "[2620:4f:8000::1]:9"
	}
	if c, err := net.Dial(network, target); err == nil { // asks the routing table, sends nothing
		defer c.Close()
		if at, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil && isReachable(at.Addr()) {
			return at.Addr().WithZone("")
		}
	}
	for _, a := range machineAddresses() {
		if a.Is4() == bind.Is4() && isReachable(a) {
			return a
		}
	}
	return netip.Addr{}
}

// isReachable reports whether other machines may reach an address. Private IPv6 addresses do not
// count: with them a server reaches nobody that it does not reach over IPv4.
func isReachable(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !(a.Is6() && a.IsPrivate())
}

// openTurn opens the sockets of --turn and adds its URLs to the ICE servers of clients.
func (srv *parleyServer) openTurn(ctx context.Context, sockets *closers, _ *server.Server) ([]service, error) {
	if srv.turn == nil {
		return nil, nil
	}
	server, err := turnserver.NewServer(srv.turn.options)
	if err != nil {
		return nil, exit.Errorf(exit.Usage, "--turn: %w", err)
	}
	conns, listeners, err := srv.turn.listen(ctx, sockets)
	if err != nil {
		return nil, err
	}
	srv.turn.server = server
	var public []string
	for i, a := range srv.turn.options.Addresses {
		srv.addTurnURLs(a.Public, i == 0)
		public = append(public, a.Public.String())
	}
	urls := slices.Clone(srv.ice.temporary)
	for _, s := range srv.ice.fixed {
		urls = append(urls, s.URLs...)
	}
	srv.report.Report(event.Event{Name: "relaying", Fields: event.Fields("urls", urls),
		Message: fmt.Sprintf("STUN and TURN on port %d, relays at %s", srv.turn.port, strings.Join(public, " and "))})
	return []service{func(ctx context.Context) error { return server.Run(ctx, conns, listeners) }}, nil
}

// listen opens the sockets of the TURN server: UDP and TCP on the same port.
func (t *turnSettings) listen(ctx context.Context, sockets *closers) ([]net.PacketConn, []net.Listener, error) {
	var conns []net.PacketConn
	var listeners []net.Listener
	for _, address := range t.options.Addresses {
		c, l, err := t.listenAt(ctx, address.Bind)
		if err != nil {
			return nil, nil, exit.Errorf(exit.Failure, "failed to open --turn on port %d: %w; "+
				"if another server runs there, give --turn another port", t.port, err)
		}
		sockets.all = append(sockets.all, c, l)
		conns, listeners = append(conns, c), append(listeners, l)
	}
	return conns, listeners, nil
}

// portAttempts is how often a free port is chosen: the one for UDP may be taken for TCP.
const portAttempts = 20

func (t *turnSettings) listenAt(ctx context.Context, bind netip.Addr) (net.PacketConn, net.Listener, error) {
	udp, tcp := "udp4", "tcp4"
	if bind.Is6() {
		udp, tcp = "udp6", "tcp6"
	}
	var config net.ListenConfig
	for attempt := 1; ; attempt++ {
		c, err := config.ListenPacket(ctx, udp, netip.AddrPortFrom(bind, t.port).String())
		if err != nil {
			return nil, nil, err
		}
		l, err := config.Listen(ctx, tcp, c.LocalAddr().String())
		if err == nil {
			t.port = netip.MustParseAddrPort(c.LocalAddr().String()).Port()
			return c, l, nil
		}
		_ = c.Close()
		if t.port != 0 || attempt == portAttempts {
			return nil, nil, err
		}
	}
}

// addTurnURLs adds the URLs of a public address to the ICE servers of clients. More than four URLs
// delay a browser, so the second address family gets one.
func (srv *parleyServer) addTurnURLs(public netip.Addr, first bool) {
	at := netip.AddrPortFrom(public, srv.turn.port).String()
	srv.ice.temporary = append(srv.ice.temporary, "turn:"+at+"?transport=udp")
	if !first {
		return
	}
	srv.ice.fixed = append(srv.ice.fixed, signal.ICEServer{URLs: []string{"stun:" + at}})
	srv.ice.temporary = append(srv.ice.temporary, "turn:"+at+"?transport=tcp")
	if srv.secure != nil && srv.secure.name != "" { // clients do not accept a self-signed certificate for TURN
		host := net.JoinHostPort(srv.secure.name, strconv.Itoa(int(srv.turn.port)))
		srv.ice.temporary = append(srv.ice.temporary, "turns:"+host+"?transport=tcp")
	}
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"parley/signal"
	"parley/signal/turnserver"
)

func relayFlags() []cli.Flag {
	return inCategory("STUN AND TURN", []cli.Flag{
		listFlag("ice-server", "`URL` of a STUN or TURN server to hand to clients at login; turn:HOST,USER,SECRET, or turn:HOST for credentials made with --turn-secret; repeatable"),
		stringFlag("turn", "", "run STUN and TURN at `ADDRESS`, such as :3478, for UDP and TCP, and TLS with a certificate; handed to clients at login"),
		stringFlag("turn-secret", "", "makes the credentials of clients; coturn's static-auth-secret (default: a random one)"),
		durationFlag("turn-ttl", 24*time.Hour, "how long credentials can begin a call; clients have fresh ones before that"),
		listFlag("turn-external-ip", "`IP` that this machine has outside; repeatable, one for IPv4 and one for IPv6"),
		listFlag("turn-allowed-peer-ip", "`CIDR` of private addresses that clients may send to through TURN, such as 192.168.0.0/16; repeatable"),
		stringFlag("turn-ports", "", "`MIN:MAX` of the UDP ports to relay with"),
		&cli.IntFlag{Name: "turn-user-quota", Value: 32, Usage: "`NUMBER` of allocations of a user; 0: unlimited", Sources: variable("turn-user-quota")},
		&cli.IntFlag{Name: "turn-total-quota", Value: 2000, Usage: "`NUMBER` of allocations in all; 0: unlimited", Sources: variable("turn-total-quota")},
	})
}

// turnSettings is what --turn and its kin say.
type turnSettings struct {
	host    string // "" for all addresses
	port    uint16
	options turnserver.Options
	server  *turnserver.Server // once open
}

// readRelay reads the flags about ICE servers.
func (d *desk) readRelay(cmd *cli.Command) error {
	secret := cmd.String("turn-secret")
	if secret == "" && cmd.String("turn") != "" {
		secret = randomHex(32)
	}
	if ttl := cmd.Duration("turn-ttl"); ttl <= 0 {
		return usagef("--turn-ttl %s: it is more than 0", ttl)
	}
	if secret != "" {
		d.ice.credentials = &turnserver.Credentials{Secret: secret, TTL: cmd.Duration("turn-ttl")}
	}
	for _, v := range cmd.StringSlice("ice-server") {
		if err := d.ice.add(v); err != nil {
			return err
		}
	}
	if cmd.String("turn") == "" {
		return refuseWithout(cmd, "turn", "turn-external-ip", "turn-allowed-peer-ip", "turn-ports", "turn-user-quota", "turn-total-quota")
	}
	return d.readTurn(cmd)
}

// refuseWithout refuses flags that are of no use without another.
func refuseWithout(cmd *cli.Command, needed string, flags ...string) error {
	for _, f := range flags {
		if cmd.IsSet(f) {
			return usagef("--%s is of use with --%s only", f, needed)
		}
	}
	return nil
}

func (d *desk) readTurn(cmd *cli.Command) (err error) {
	t := &turnSettings{options: turnserver.Options{
		Credentials: *d.ice.credentials, TLS: d.secure.relayTLS(), Logger: d.logger,
		UserQuota: lifted(cmd.Int("turn-user-quota")), TotalQuota: lifted(cmd.Int("turn-total-quota")),
	}}
	if t.host, t.port, err = turnAddress(cmd.String("turn")); err != nil {
		return err
	}
	if t.options.MinPort, t.options.MaxPort, err = turnPorts("turn-ports", cmd.String("turn-ports")); err != nil {
		return err
	}
	if t.options.AllowedPeers, err = prefixes("turn-allowed-peer-ip", cmd.StringSlice("turn-allowed-peer-ip")); err != nil {
		return err
	}
	t.options.Addresses, err = t.addresses(cmd.StringSlice("turn-external-ip"))
	d.turn = t
	return err
}

// turnPorts reads MIN:MAX.
func turnPorts(flag, s string) (low, high uint16, err error) {
	low, high, err = portRange(s)
	if err != nil {
		return 0, 0, usagef("--%s %q: it is MIN:MAX, such as 50000:50999", flag, printable(s))
	}
	return low, high, nil
}

// turnAddress reads HOST:PORT, HOST or :PORT. A host is an address: relays are told to others by address.
func turnAddress(s string) (host string, port uint16, err error) {
	host, service, splitErr := net.SplitHostPort(s)
	if splitErr != nil {
		host, service = s, "3478"
	}
	n, portErr := strconv.ParseUint(service, 10, 16)
	if _, err := netip.ParseAddr(host); portErr != nil || host != "" && err != nil {
		return "", 0, usagef("--turn %q: it is ADDRESS:PORT, such as :3478 or 192.0.2.1:3478", printable(s))
	}
	return host, uint16(n), nil
}

// addresses are where relays are opened and what others are told.
func (t *turnSettings) addresses(external []string) ([]turnserver.Address, error) {
	bind := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	if t.host != "" {
		if a := netip.MustParseAddr(t.host).Unmap(); !a.IsUnspecified() {
			bind = []netip.Addr{a}
		}
	}
	var addresses []turnserver.Address
	for _, b := range bind {
		a := turnserver.Address{Bind: b, Public: outward(b)}
		if a.Public.IsValid() {
			addresses = append(addresses, a)
		}
	}
	for _, s := range external {
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.IsUnspecified() || ip.Zone() != "" {
			return nil, usagef("--turn-external-ip %q: it is an address, such as 198.51.100.7", printable(s))
		}
		if addresses, err = withExternal(addresses, bind, ip.Unmap()); err != nil {
			return nil, err
		}
	}
	if len(addresses) == 0 { // no network: for peers on this machine
		addresses = append(addresses, turnserver.Address{Bind: bind[0], Public: netip.AddrFrom4([4]byte{127, 0, 0, 1})})
	}
	return addresses, nil
}

// withExternal puts ip in the place of the address of its family.
func withExternal(addresses []turnserver.Address, bind []netip.Addr, ip netip.Addr) ([]turnserver.Address, error) {
	same := func(a netip.Addr) bool { return a.Is4() == ip.Is4() }
	if i := slices.IndexFunc(addresses, func(a turnserver.Address) bool { return same(a.Bind) }); i >= 0 {
		addresses[i].Public = ip
		return addresses, nil
	}
	if i := slices.IndexFunc(bind, same); i >= 0 {
		return append(addresses, turnserver.Address{Bind: bind[i], Public: ip}), nil
	}
	return nil, usagef("--turn-external-ip %s is not of the same family as the address of --turn", ip)
}

// outward is the address that this machine has towards others of a family, invalid for none.
func outward(bind netip.Addr) netip.Addr {
	if !bind.IsUnspecified() {
		return bind
	}
	network, target := "udp4", "192.88.99.1:9"
	if bind.Is6() {
		network, target = "udp6", "[2620:4f:8000::1]:9"
	}
	if c, err := net.Dial(network, target); err == nil { // asks the routing table; sends nothing
		defer c.Close()
		if at, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil && usableOutside(at.Addr()) {
			return at.Addr().WithZone("")
		}
	}
	for _, a := range machineAddresses() {
		if a.Is4() == bind.Is4() && usableOutside(a) {
			return a
		}
	}
	return netip.Addr{}
}

// usableOutside leaves out what does not lead to others, and private IPv6 addresses: next to IPv4 they reach nobody more.
func usableOutside(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !(a.Is6() && a.IsPrivate())
}

// openRelay opens the sockets of --turn, and adds it to what is handed out.
func (d *desk) openRelay(ctx context.Context, sockets *opened, _ *signal.Server) ([]service, error) {
	if d.turn == nil {
		return nil, nil
	}
	server, err := turnserver.NewServer(d.turn.options)
	if err != nil {
		return nil, failf(exitUsage, "--turn: %w", err)
	}
	packets, listeners, err := d.turn.listen(ctx, sockets)
	if err != nil {
		return nil, err
	}
	d.turn.server = server
	for i, a := range d.turn.options.Addresses {
		d.offerRelay(a.Public, i == 0)
	}
	d.report.report(event{name: "relaying", fields: []field{{"urls", append(slices.Clone(d.ice.temporary), stunURLs(d.ice.fixed)...)}},
		say: fmt.Sprintf("STUN and TURN on port %d, relays at %s", d.turn.port, publicAddresses(d.turn.options.Addresses))})
	return []service{func(ctx context.Context) error { return server.Run(ctx, packets, listeners) }}, nil
}

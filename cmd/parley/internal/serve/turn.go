package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/signal"
	"parley/signal/turnserver"
)

// TURNOptions are the choices of the TURN server, and of credentials for it and other ones.
type TURNOptions struct {
	Address      string        // HOST, HOST:PORT or :PORT for UDP, TCP and with a certificate TLS; "" for no TURN server
	Open         bool          // let everybody use TURN without a login
	Secret       string        // makes credentials; "": a random one if Address is set
	TTL          time.Duration // how long credentials can begin allocations
	ExternalIPs  []string      // public addresses, one for each family at most
	AllowedPeers []string      // CIDRs of private addresses that clients may send to
	Ports        [2]uint16     // first and last UDP port of allocations, zero for any

	UserQuota, AddressQuota, TotalQuota int // see turnserver.Options
}

// turnServer is the TURN server of this process.
type turnServer struct {
	*turnserver.Server // nil until it is open

	host    string // an IP address, "" for all
	port    uint16 // 0 until a free one is found
	options turnserver.Options
}

// checkICE checks the ICE servers of clients and the TURN server.
func (s *service) checkICE() error {
	o := s.TURN
	if o.TTL <= 0 {
		return exit.Usagef("invalid --turn-ttl %s: want more than 0", o.TTL)
	}
	if o.Secret == "" && o.Address != "" {
		o.Secret = rand.Text()
	}
	if o.Secret != "" {
		s.ice.credentials = &turnserver.Credentials{Secret: o.Secret, TTL: o.TTL}
	}
	for _, v := range s.ICEServers {
		if err := s.ice.add(v); err != nil {
			return err
		}
	}
	if s.ice.hasTURN() && s.signaling.Auth == nil && !o.Open && !isLoopback(s.Listen...) {
		s.warnf("--ice-server: everybody who reaches this server gets credentials of the TURN server; " +
			"require a login with --auth-jwt or --auth-webhook, or allow everybody with --turn-open")
	}
	if o.Address != "" {
		return s.checkTURN()
	}
	if o.Open && !s.ice.hasTURN() {
		return exit.Usagef("--turn-open is of use with --turn only, or with --ice-server turn:HOST")
	}
	return nil
}

// checkTURN checks the options of the TURN server.
func (s *service) checkTURN() (err error) {
	o := s.TURN
	t := &turnServer{options: turnserver.Options{
		Credentials: *s.ice.credentials, TLS: s.secure.turnTLS(), Logger: s.Logger, MinPort: o.Ports[0], MaxPort: o.Ports[1],
		UserQuota: o.UserQuota, AddressQuota: o.AddressQuota, TotalQuota: o.TotalQuota,
	}}
	if t.host, t.port, err = turnAddress(o.Address); err != nil {
		return err
	}
	if t.options.AllowedPeers, err = prefixes("turn-allowed-peer-ip", o.AllowedPeers); err != nil {
		return err
	}
	if t.options.Addresses, err = t.addresses(o.ExternalIPs); err != nil {
		return err
	}
	if s.signaling.Auth == nil && !o.Open && !isLoopback(o.Address) {
		return exit.Usagef("--turn %q: without a login everybody could relay through this machine; "+
			"require a login with --auth-jwt or --auth-webhook, or allow everybody with --turn-open", o.Address)
	}
	s.turn = t
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
		return "", 0, exit.Usagef("invalid --turn %q: want ADDRESS:PORT, such as :3478 or 192.0.2.1:3478", s)
	}
	return host, uint16(n), nil
}

// addresses returns the addresses of allocations. external are the values of --turn-external-ip.
func (t *turnServer) addresses(external []string) ([]turnserver.Address, error) {
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
			return nil, exit.Usagef("invalid --turn-external-ip %q: want an address, such as 198.51.100.7", s)
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

// openTURN opens the sockets of the TURN server and adds its URLs to the ICE servers of clients. It
// returns nil without a TURN server.
func (s *service) openTURN(ctx context.Context) (task, error) {
	t := s.turn
	if t == nil {
		return nil, nil
	}
	var err error
	if t.Server, err = turnserver.NewServer(t.options); err != nil {
		return nil, exit.Usagef("--turn: %v", err)
	}
	conns, listeners, err := s.listenTURN(ctx)
	if err != nil {
		return nil, err
	}
	event := TURNListening{Port: t.port}
	for i, a := range t.options.Addresses {
		s.addTURNURLs(a.Public, i == 0)
		event.Relays = append(event.Relays, a.Public.String())
	}
	event.URLs = slices.Clone(s.ice.temporary)
	for _, one := range s.ice.fixed {
		event.URLs = append(event.URLs, one.URLs...)
	}
	s.Report(event)
	return func(ctx context.Context) error { return t.Run(ctx, conns, listeners) }, nil
}

// listenTURN opens the sockets of the TURN server: UDP and TCP on the same port.
func (s *service) listenTURN(ctx context.Context) ([]net.PacketConn, []net.Listener, error) {
	var conns []net.PacketConn
	var listeners []net.Listener
	for _, address := range s.turn.options.Addresses {
		c, l, err := s.turn.listenAt(ctx, address.Bind)
		if err != nil {
			return nil, nil, fmt.Errorf("failed to open --turn on port %d: %w; "+
				"if another server runs there, give --turn another port", s.turn.port, err)
		}
		s.sockets = append(s.sockets, c, l)
		conns, listeners = append(conns, c), append(listeners, l)
	}
	return conns, listeners, nil
}

// portAttempts is how often a free port is chosen: the one for UDP may be taken for TCP.
const portAttempts = 20

func (t *turnServer) listenAt(ctx context.Context, bind netip.Addr) (net.PacketConn, net.Listener, error) {
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

// addTURNURLs adds the URLs of a public address to the ICE servers of clients. More than four URLs
// delay a browser, so the second address family gets one.
func (s *service) addTURNURLs(public netip.Addr, first bool) {
	at := netip.AddrPortFrom(public, s.turn.port).String()
	s.ice.temporary = append(s.ice.temporary, "turn:"+at+"?transport=udp")
	if !first {
		return
	}
	s.ice.fixed = append(s.ice.fixed, signal.ICEServer{URLs: []string{"stun:" + at}})
	s.ice.temporary = append(s.ice.temporary, "turn:"+at+"?transport=tcp")
	if s.secure != nil && s.secure.name != "" { // clients do not accept a self-signed certificate for TURN
		host := net.JoinHostPort(s.secure.name, strconv.Itoa(int(s.turn.port)))
		s.ice.temporary = append(s.ice.temporary, "turns:"+host+"?transport=tcp")
	}
}

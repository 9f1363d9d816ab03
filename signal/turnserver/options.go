package turnserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"time"
)

// Options configure a Server. Credentials and Addresses are required.
type Options struct {
	// Credentials checks the user names and passwords of clients.
	Credentials Credentials

	// Addresses are the addresses of allocations: one for IPv4, one for IPv6, or both.
	Addresses []Address

	// AllowedPeers lists special addresses that clients may send to, such as 192.168.0.0/16 for a
	// LAN. Every client can reach every UDP port of them. Default: none.
	AllowedPeers []netip.Prefix

	// TLS is the configuration of streams that begin with a TLS handshake. Default: TLS is refused.
	TLS *tls.Config

	// Realm is the realm of the credentials (RFC 8489 section 9.2). Default: "parley".
	Realm string

	// UserQuota is the maximum number of allocations of a user. A call takes up to one for each
	// transport and network interface of the client. Default: 32. Negative: unlimited.
	UserQuota int

	// AddressQuota is the maximum number of allocations of clients at one IP address, or in one
	// /64 of IPv6: a client may have many user names. Default: 128. Negative: unlimited.
	AddressQuota int

	// TotalQuota is the maximum number of allocations. Each holds a UDP port and about 16 KiB.
	// Default: 2000. Negative: unlimited.
	TotalQuota int

	// MaxStreams is the maximum number of TCP and TLS connections. When it is reached, the oldest
	// connection without an allocation makes room. Default: 2000. Negative: unlimited.
	MaxStreams int

	// StreamsPerAddress is the maximum number of TCP and TLS connections without an allocation from
	// one IP address, or one /64 of IPv6. Default: half of AddressQuota, but at least 32.
	// Negative: unlimited.
	StreamsPerAddress int

	// StreamTimeout is how long a TCP or TLS connection may have no allocation. Default: 40 s, the
	// time after which a STUN transaction over TCP fails (RFC 8489 section 6.2.2).
	StreamTimeout time.Duration

	// RequestRate is the maximum number of requests and new connections per second from one IP
	// address, or one /64 of IPv6, not counting requests of clients with an allocation. Ten times
	// as many may come at once. Default: AddressQuota, but at least 100. Negative: unlimited.
	RequestRate int

	// MaxAge is the time after which an allocation is closed, refreshed or not. Default: 24 hours.
	// Negative: unlimited.
	MaxAge time.Duration

	// MinPort and MaxPort bound the UDP ports of allocations. Default 0: the system chooses.
	MinPort, MaxPort uint16

	// Logger receives allocations and refusals, never payload or passwords. Default: none.
	Logger *slog.Logger
}

// Address is the address of allocations of one family.
type Address struct {
	// Bind is the local address of the sockets; unspecified (0.0.0.0 or ::) for all.
	Bind netip.Addr
	// Public is the relayed address that clients get, if this machine is behind a one-to-one NAT
	// or Bind is unspecified. Default: Bind.
	Public netip.Addr
}

func (o Options) withDefaults() (Options, error) {
	if o.Credentials.Secret == "" {
		return o, errors.New("TURN server has no secret: without one everybody could use it")
	}
	if len(o.Addresses) == 0 {
		return o, errors.New("TURN server has no address for allocations: want at least one")
	}
	for i, a := range o.Addresses {
		a, err := a.withDefaults()
		if err != nil {
			return o, err
		}
		o.Addresses[i] = a
	}
	if o.MinPort > o.MaxPort {
		return o, fmt.Errorf("invalid port range %d to %d: the first is greater than the last",
			o.MinPort, o.MaxPort)
	}
	if o.Realm == "" {
		o.Realm = "parley"
	}
	o.UserQuota = limitOrDefault(o.UserQuota, 32)
	o.AddressQuota = limitOrDefault(o.AddressQuota, 128)
	o.TotalQuota = limitOrDefault(o.TotalQuota, 2000)
	o.MaxStreams = limitOrDefault(o.MaxStreams, 2000)
	o.StreamsPerAddress = limitOrDefault(o.StreamsPerAddress, max(32, o.AddressQuota/2))
	o.RequestRate = limitOrDefault(o.RequestRate, max(100, o.AddressQuota))
	if o.StreamTimeout <= 0 {
		o.StreamTimeout = 40 * time.Second
	}
	if o.MaxAge == 0 {
		o.MaxAge = 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// limitOrDefault returns the limit, the default for 0, and math.MaxInt for negative limits.
func limitOrDefault(limit, fallback int) int {
	switch {
	case limit == 0:
		return fallback
	case limit < 0:
		return math.MaxInt
	}
	return limit
}

func (a Address) withDefaults() (Address, error) {
	a.Bind, a.Public = a.Bind.Unmap(), a.Public.Unmap()
	if !a.Public.IsValid() {
		a.Public = a.Bind
	}
	if !a.Bind.IsValid() && a.Public.Is4() {
		a.Bind = netip.IPv4Unspecified()
	}
	if !a.Bind.IsValid() {
		a.Bind = netip.IPv6Unspecified()
	}
	if !a.Public.IsValid() || a.Public.IsUnspecified() || a.Public.Is4() != a.Bind.Is4() {
		return a, fmt.Errorf("invalid public address %q for TURN sockets at %s: "+
			"want an address of the same family that peers can reach", a.Public, a.Bind)
	}
	return a, nil
}

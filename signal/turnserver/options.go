package turnserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Options are the choices of a Server. Credentials and Addresses are needed; the rest may be zero.
type Options struct {
	// Credentials says who may allocate.
	Credentials Credentials

	// Addresses are where relays are opened: one for IPv4, one for IPv6, or both.
	Addresses []Address

	// Allow lists the special addresses that packets may go to nevertheless, such as 192.168.0.0/16 for a LAN. Default: none. What is
	// listed can be reached, on every UDP port, by everybody who can log in.
	Allow []netip.Prefix

	// TLS makes a stream that begins with a TLS handshake one. Default: TCP alone.
	TLS *tls.Config

	// Realm is told to clients. Default: "parley".
	Realm string

	// Quota is how many allocations one user may hold. A call takes up to one for each transport and network interface of the
	// client. Default: 32. Negative: no bound.
	Quota int

	// MaxAllocations is how many allocations there may be in all; each holds a UDP port and about 16 KiB. Default: 2000.
	// Negative: no bound but the ports of the machine.
	MaxAllocations int

	// MaxStreams is how many TCP and TLS connections may be open. Default: 2000. Negative: no bound but the file descriptors.
	MaxStreams int

	// MaxAge is how long an allocation may live, however often it is refreshed. Default: 24 hours. Negative: no bound.
	MaxAge time.Duration

	// MinPort and MaxPort bound the ports of relays. Default 0: what the system gives.
	MinPort, MaxPort uint16

	// Logger hears of allocations and refusals: never of what is relayed, nor of passwords. Default: nobody.
	Logger *slog.Logger
}

// Address is where relays of one address family are opened.
type Address struct {
	// Bind is the local address of the sockets; unspecified (0.0.0.0 or ::) for all.
	Bind netip.Addr
	// Public is the address that peers are told, when this machine is behind a one-to-one NAT or Bind is unspecified. Default: Bind.
	Public netip.Addr
}

func (o Options) withDefaults() (Options, error) {
	if o.Credentials.Secret == "" {
		return o, errors.New("the relay has no secret: without one everybody could use it")
	}
	if len(o.Addresses) == 0 {
		return o, errors.New("the relay has no address to open ports at: give at least one")
	}
	for i, a := range o.Addresses {
		a, err := a.withDefaults()
		if err != nil {
			return o, err
		}
		o.Addresses[i] = a
	}
	if o.MinPort > o.MaxPort {
		return o, fmt.Errorf("there is no port between %d and %d: the first must not be greater", o.MinPort, o.MaxPort)
	}
	if o.Realm == "" {
		o.Realm = "parley"
	}
	o.Quota = bound(o.Quota, 32)
	o.MaxAllocations = bound(o.MaxAllocations, 2000)
	o.MaxStreams = bound(o.MaxStreams, 2000)
	if o.MaxAge == 0 {
		o.MaxAge = 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// bound is a limit with its default; negative lifts it.
func bound(limit, otherwise int) int {
	const none = int(^uint(0) >> 1)
	switch {
	case limit == 0:
		return otherwise
	case limit < 0:
		return none
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
		return a, fmt.Errorf("the relay cannot tell peers the address %q for sockets at %s: name one that they can reach", a.Public, a.Bind)
	}
	return a, nil
}

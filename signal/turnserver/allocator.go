package turnserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/turn/v5"
)

// allocator opens allocations within the quotas. allocator is the turn.RelayAddressGenerator of
// pion/turn.
type allocator struct {
	opts     *Options
	filter   *peerFilter
	counters *counters
	reading  sync.WaitGroup // one for each allocation, until nobody reads from it

	mu     sync.RWMutex // guards the fields below
	closed bool
	open   map[netip.AddrPort]*allocation // by relayed address

	// Numbers of allocations.
	users     map[string]int
	addresses map[netip.Addr]int // by ratelimit.ClientPrefix
}

// owner is a user at a client address, to whom an allocation belongs.
type owner struct {
	user    string
	address netip.Addr // see ratelimit.ClientPrefix
}

// userID returns the owner as a user ID of pion/turn. The ID is never empty.
func (o owner) userID() string { return o.address.String() + " " + o.user }

// parseOwner is the inverse of userID.
func parseOwner(userID string) owner {
	address, user, _ := strings.Cut(userID, " ")
	a, _ := netip.ParseAddr(address)
	return owner{user, a}
}

// Errors of allocations. Clients get 508 (Insufficient Capacity).
var (
	errTCPAllocation = errors.New("TCP allocations are not supported")
	errTotalQuota    = errors.New("total quota of allocations reached")
	errUserQuota     = errors.New("quota of allocations of the user reached")
	errAddressQuota  = errors.New("quota of allocations of the client address reached")
	errFamily        = errors.New("address family not supported")
	errClosed        = errors.New("TURN server is closed")
	errNoPort        = errors.New("no free port found")
)

// portAttempts is the number of random ports that are tried. The chance that all are taken is small
// until the range is nearly full.
const portAttempts = 32

func newAllocator(opts *Options, filter *peerFilter, counters *counters) *allocator {
	return &allocator{
		opts: opts, filter: filter, counters: counters,
		open: map[netip.AddrPort]*allocation{}, users: map[string]int{}, addresses: map[netip.Addr]int{},
	}
}

// Validate implements turn.RelayAddressGenerator.
func (a *allocator) Validate() error { return nil }

// AllocateListener implements turn.RelayAddressGenerator.
func (a *allocator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errTCPAllocation
}

// AllocateConn implements turn.RelayAddressGenerator.
func (a *allocator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errTCPAllocation
}

// AllocatePacketConn implements turn.RelayAddressGenerator. For an even port (RFC 8656
// section 18.7) pion/turn first calls it without a user until the port is even, closes the socket,
// and then requests that port.
func (a *allocator) AllocatePacketConn(conf turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	address, ok := a.address(conf.Network)
	if !ok {
		return nil, nil, errFamily
	}
	if conf.UserID == "" {
		socket, err := a.listen(conf.Network, address.Bind, 0)
		if err != nil {
			return nil, nil, err
		}
		return socket, socket.LocalAddr(), nil
	}
	o := parseOwner(conf.UserID)
	if err := a.reserve(o); err != nil {
		return nil, nil, err
	}
	socket, err := a.listen(conf.Network, address.Bind, conf.RequestedPort)
	if err != nil {
		a.release(o)
		return nil, nil, err
	}
	opened := &allocation{PacketConn: socket, allocator: a, owner: o, address: address}
	opened.relayed = netip.AddrPortFrom(address.Public, portOf(socket.LocalAddr()))
	a.add(opened)
	return opened, net.UDPAddrFromAddrPort(opened.relayed), nil
}

// address returns the address for allocations of a network, "udp4" or "udp6".
func (a *allocator) address(network string) (Address, bool) {
	for _, address := range a.opts.Addresses {
		if address.Bind.Is4() == (network == "udp4") {
			return address, true
		}
	}
	return Address{}, false
}

// listen opens a socket with the port, or with one of Options.MinPort to MaxPort if port is 0.
func (a *allocator) listen(network string, bind netip.Addr, port int) (net.PacketConn, error) {
	low, high := max(int(a.opts.MinPort), 1), int(a.opts.MaxPort)
	if port != 0 || high == 0 {
		return net.ListenPacket(network, net.JoinHostPort(bind.String(), strconv.Itoa(port)))
	}
	for range portAttempts {
		n := low + rand.IntN(high-low+1)
		if socket, err := net.ListenPacket(network, net.JoinHostPort(bind.String(), strconv.Itoa(n))); err == nil {
			return socket, nil
		}
	}
	return nil, fmt.Errorf("%w from %d to %d", errNoPort, low, high)
}

// checkQuota returns why an owner may not have another allocation, or nil. It does not reserve it.
func (a *allocator) checkQuota(o owner) (Reason, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.checkQuotaLocked(o)
}

func (a *allocator) checkQuotaLocked(o owner) (Reason, error) {
	switch {
	case a.users[o.user] >= a.opts.UserQuota:
		return ReasonQuota, errUserQuota
	case a.addresses[o.address] >= a.opts.AddressQuota:
		return ReasonAddress, errAddressQuota
	}
	return "", nil
}

// reserve counts a new allocation of an owner, or returns why there may be none.
func (a *allocator) reserve(o owner) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errClosed
	}
	if reason, err := a.checkQuotaLocked(o); err != nil {
		a.counters.addRefusal(reason)
		return err
	}
	if int(a.counters.allocations.Load()) >= a.opts.TotalQuota {
		a.counters.addRefusal(ReasonFull)
		return errTotalQuota
	}
	a.users[o.user]++
	a.addresses[o.address]++
	a.counters.allocations.Add(1)
	a.reading.Add(1)
	return nil
}

// release undoes reserve.
func (a *allocator) release(o owner) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[o.user]--; a.users[o.user] == 0 {
		delete(a.users, o.user)
	}
	if a.addresses[o.address]--; a.addresses[o.address] == 0 {
		delete(a.addresses, o.address)
	}
	a.counters.allocations.Add(-1)
	a.reading.Done()
}

// add registers a reserved allocation and starts its Options.MaxAge.
func (a *allocator) add(opened *allocation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[opened.relayed] = opened
	a.counters.allocated.Add(1)
	if a.opts.MaxAge > 0 {
		opened.ageTimer = time.AfterFunc(a.opts.MaxAge, func() { _ = opened.Close() })
	}
	if a.closed { // since reserve
		_ = opened.PacketConn.Close()
	}
}

// remove undoes add.
func (a *allocator) remove(opened *allocation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[opened.relayed] == opened {
		delete(a.open, opened.relayed)
	}
	if opened.ageTimer != nil {
		opened.ageTimer.Stop()
	}
}

// has reports whether an allocation of this server has the relayed address.
func (a *allocator) has(relayed netip.AddrPort) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.open[relayed] != nil
}

// close closes all allocations, prevents new ones, and waits until nobody reads from any.
func (a *allocator) close() {
	a.mu.Lock()
	a.closed = true
	for _, opened := range a.open {
		_ = opened.PacketConn.Close()
	}
	a.mu.Unlock()
	a.reading.Wait()
}

func portOf(a net.Addr) uint16 {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort().Port()
	}
	return 0
}

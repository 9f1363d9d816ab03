package turnserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/turn/v5"
)

// ports opens relays and knows which are open. It is pion/turn's RelayAddressGenerator.
type ports struct {
	opts  *Options
	peers *peers
	count *counters
	wait  sync.WaitGroup // an open relay each

	mu     sync.RWMutex // guards what follows
	closed bool
	open   map[netip.AddrPort]*port // by public address
	users  map[string]int           // open relays of each
}

// Why a relay is not opened. Clients see 508 (insufficient capacity).
var (
	errUnused    = errors.New("TCP relays are not offered")
	errFull      = errors.New("there are as many relays as may be")
	errQuota     = errors.New("the user has as many relays as may be")
	errFamily    = errors.New("there is no address of that family")
	errShut      = errors.New("the relay is closed")
	errPortsBusy = errors.New("no free port was found in the range")
)

// tries is how often a port of a range is tried: the chance to miss is small until the range is nearly full.
const tries = 32

func newPorts(opts *Options, peers *peers, count *counters) *ports {
	return &ports{opts: opts, peers: peers, count: count, open: map[netip.AddrPort]*port{}, users: map[string]int{}}
}

// Validate implements turn.RelayAddressGenerator.
func (p *ports) Validate() error { return nil }

// AllocateListener implements turn.RelayAddressGenerator.
func (p *ports) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errUnused
}

// AllocateConn implements turn.RelayAddressGenerator.
func (p *ports) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errUnused }

// AllocatePacketConn implements turn.RelayAddressGenerator. A client that wants an even port (RFC 8656 section 18.6) makes pion/turn
// ask without a user first, close what it gets, and then ask for that port.
func (p *ports) AllocatePacketConn(conf turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	address, ok := p.address(conf.Network)
	if !ok {
		return nil, nil, errFamily
	}
	if conf.UserID == "" {
		socket, err := p.listen(conf.Network, address.Bind, 0)
		if err != nil {
			return nil, nil, err
		}
		return socket, socket.LocalAddr(), nil
	}
	if err := p.reserve(conf.UserID); err != nil {
		return nil, nil, err
	}
	socket, err := p.listen(conf.Network, address.Bind, conf.RequestedPort)
	if err != nil {
		p.release(conf.UserID)
		return nil, nil, err
	}
	r := &port{PacketConn: socket, ports: p, user: conf.UserID, address: address}
	r.public = netip.AddrPortFrom(address.Public, portOf(socket.LocalAddr()))
	p.add(r)
	return r, net.UDPAddrFromAddrPort(r.public), nil
}

func (p *ports) address(network string) (Address, bool) {
	for _, a := range p.opts.Addresses {
		if a.Bind.Is4() == (network == "udp4") {
			return a, true
		}
	}
	return Address{}, false
}

// listen opens a socket with that port, or with one of the range for port 0.
func (p *ports) listen(network string, bind netip.Addr, port int) (net.PacketConn, error) {
	low, high := int(p.opts.MinPort), int(p.opts.MaxPort)
	if port != 0 || high == 0 {
		return net.ListenPacket(network, net.JoinHostPort(bind.String(), strconv.Itoa(port)))
	}
	for range tries {
		n := max(low, 1) + rand.IntN(high-max(low, 1)+1)
		if socket, err := net.ListenPacket(network, net.JoinHostPort(bind.String(), strconv.Itoa(n))); err == nil {
			return socket, nil
		}
	}
	return nil, fmt.Errorf("%w %d to %d", errPortsBusy, low, high)
}

// room tells if a user may open another relay, without taking it.
func (p *ports) room(user string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.users[user] < p.opts.Quota
}

func (p *ports) reserve(user string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := int(p.count.allocations.Load())
	switch {
	case p.closed:
		return errShut
	case p.users[user] >= p.opts.Quota:
		p.count.refused(ReasonQuota)
		return errQuota
	case total >= p.opts.MaxAllocations:
		p.count.refused(ReasonFull)
		return errFull
	}
	p.users[user]++
	p.count.allocations.Add(1)
	p.wait.Add(1)
	return nil
}

func (p *ports) release(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users[user]--; p.users[user] == 0 {
		delete(p.users, user)
	}
	p.count.allocations.Add(-1)
	p.wait.Done()
}

func (p *ports) add(r *port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[r.public] = r
	p.count.allocated.Add(1)
	if p.opts.MaxAge > 0 {
		r.age = time.AfterFunc(p.opts.MaxAge, func() { _ = r.Close() })
	}
	if p.closed { // since it was reserved
		_ = r.PacketConn.Close()
	}
}

func (p *ports) forget(r *port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[r.public] == r {
		delete(p.open, r.public)
	}
	if r.age != nil {
		r.age.Stop()
	}
}

// isOpen tells if this server has a relay there.
func (p *ports) isOpen(a netip.AddrPort) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.open[a] != nil
}

// shut closes all relays, opens no more, and waits until nobody reads from any.
func (p *ports) shut() {
	p.mu.Lock()
	p.closed = true
	for _, r := range p.open {
		_ = r.PacketConn.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

func portOf(a net.Addr) uint16 {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort().Port()
	}
	return 0
}

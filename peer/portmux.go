package peer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4"
)

// portMux is one UDP port at all addresses of this machine, for many calls. Pion's
// own is that of the addresses which there were at first: a call could not move to
// another one.
type portMux struct {
	host     *bufferedNet
	net      transport.Net // the same, as packets see it
	port     uint16
	loopback bool

	mu     sync.Mutex // guards what follows
	at     map[netip.Addr]*ice.UDPMuxDefault
	now    []netip.Addr // those of at that this machine has
	closed bool
}

// listen opens the port at addresses that have come. The first error does not keep
// it from the other ones.
func (m *portMux) listen() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	addresses, err := m.addresses()
	if m.closed || err != nil {
		return cmp.Or(err, net.ErrClosed)
	}
	var failed error
	m.now = m.now[:0]
	for _, a := range addresses {
		if m.at[a] == nil {
			conn, err := m.net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, m.port)))
			if errors.Is(err, syscall.EADDRNOTAVAIL) {
				continue // it has gone again, or it is not known yet to be nobody else's
			}
			if err != nil {
				failed = cmp.Or(failed, err)
				continue
			}
			m.at[a] = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Net: m.net})
		}
		m.now = append(m.now, a)
	}
	return failed
}

// addresses are those of this machine now.
func (m *portMux) addresses() (all []netip.Addr, err error) {
	if err := m.host.UpdateInterfaces(); err != nil {
		return nil, err
	}
	interfaces, err := m.host.Interfaces()
	for _, i := range interfaces {
		list, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 && !m.loopback {
			continue
		}
		for _, a := range list {
			if n, ok := a.(*net.IPNet); ok {
				ip, _ := netip.AddrFromSlice(n.IP)
				all = append(all, ip.Unmap())
			}
		}
	}
	return all, err
}

// GetListenAddresses implements ice.UDPMux. A call asks for them when it begins,
// and when it looks for another path.
func (m *portMux) GetListenAddresses() (all []net.Addr) {
	_ = m.listen() // what could be opened counts
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.now {
		all = append(all, m.at[a].LocalAddr())
	}
	return all
}

// GetConn implements ice.UDPMux.
func (m *portMux) GetConn(ufrag string, at net.Addr) (net.PacketConn, error) {
	m.mu.Lock()
	mux := m.at[addrPort(at).Addr()]
	m.mu.Unlock()
	if mux == nil {
		return nil, fmt.Errorf("the port is not open at %s", at)
	}
	return mux.GetConn(ufrag, at)
}

// RemoveConnByUfrag implements ice.UDPMux.
func (m *portMux) RemoveConnByUfrag(ufrag string) {
	for _, mux := range m.muxes() {
		mux.RemoveConnByUfrag(ufrag)
	}
}

// Close implements ice.UDPMux.
func (m *portMux) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	var failed error
	for _, mux := range m.muxes() {
		failed = errors.Join(failed, mux.Close())
	}
	return failed
}

func (m *portMux) muxes() []*ice.UDPMuxDefault {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.at))
}

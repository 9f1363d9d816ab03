package icenet

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
	"github.com/pion/logging"
	"github.com/pion/transport/v4"

	"parley/peer/internal/netaddr"
	"parley/peer/internal/tap"
)

// ListenUDPMux opens a UDP port for many calls. The caller closes it after the last of them. It
// uses Tap, Netem and Interfaces of c. With loopback it listens at loopback addresses, too.
func ListenUDPMux(port uint16, loopback bool, c Config) (ice.UDPMux, error) {
	host, err := newHostNet(c.Interfaces)
	if err != nil {
		return nil, err
	}
	m := &udpMux{host: host, net: layered(host, c.Tap, c.Netem), port: port, loopback: loopback, at: make(map[netip.Addr]*ice.UDPMuxDefault)}
	if err := m.listen(); err != nil {
		_ = m.Close()
		return nil, fmt.Errorf("failed to listen on UDP port %d: %w", port, err)
	}
	return m, nil
}

// udpMux is one UDP port at all addresses of the host. Pion's multiplexer keeps the addresses that
// it was created with, so that a call could not move to another one.
type udpMux struct {
	host     *hostNet
	net      transport.Net // host with tap and netem
	port     uint16
	loopback bool

	mu     sync.Mutex // guards the fields below
	at     map[netip.Addr]*ice.UDPMuxDefault
	now    []netip.Addr // keys of at that the host has now
	closed bool
}

// listen opens the port at new addresses of the host. It tries all of them and returns the first
// error.
func (m *udpMux) listen() error {
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
				continue // removed again, or still in duplicate address detection
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

// addresses returns the addresses of the host.
func (m *udpMux) addresses() (all []netip.Addr, err error) {
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

// GetListenAddresses implements ice.UDPMux. Pion calls it whenever it gathers candidates.
func (m *udpMux) GetListenAddresses() (all []net.Addr) {
	_ = m.listen() // those that were opened count
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.now {
		all = append(all, m.at[a].LocalAddr())
	}
	return all
}

// GetConn implements ice.UDPMux.
func (m *udpMux) GetConn(ufrag string, at net.Addr) (net.PacketConn, error) {
	m.mu.Lock()
	mux := m.at[netaddr.AddrPort(at).Addr()]
	m.mu.Unlock()
	if mux == nil {
		return nil, fmt.Errorf("UDP port %d is not open at %s", m.port, at)
	}
	return mux.GetConn(ufrag, at)
}

// RemoveConnByUfrag implements ice.UDPMux.
func (m *udpMux) RemoveConnByUfrag(ufrag string) {
	for _, mux := range m.muxes() {
		mux.RemoveConnByUfrag(ufrag)
	}
}

// Close implements ice.UDPMux.
func (m *udpMux) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	var failed error
	for _, mux := range m.muxes() {
		failed = errors.Join(failed, mux.Close())
	}
	return failed
}

// muxes returns the multiplexers at all addresses.
func (m *udpMux) muxes() []*ice.UDPMuxDefault {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.at))
}

// ListenTCPMux opens a TCP port to which peers connect where UDP is blocked (ICE-TCP, RFC 6544).
// The caller closes it after the last call. t, if not nil, sees its packets.
func ListenTCPMux(port uint16, logger logging.LeveledLogger, t tap.Tap) (ice.TCPMux, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: int(port)})
	if err != nil {
		return nil, fmt.Errorf("failed to listen on TCP port %d: %w", port, err)
	}
	return ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: tap.Listener(l, t), Logger: logger, ReadBufferSize: tcpReadBuffer, WriteBufferSize: tcpWriteBuffer,
	}), nil
}

const (
	tcpReadBuffer  = 64      // packets
	tcpWriteBuffer = 4 << 20 // bytes; packets beyond it are dropped
)

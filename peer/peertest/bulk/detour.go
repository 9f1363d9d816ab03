package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"sync"

	"parley/peer/netem"
)

// A detour carries the packets of a call over emulated links. It rewrites the
// addresses that one end signals to the other, so that each knows nothing but
// doors of the detour, one for each address of the other.
type detour struct {
	config  netem.Config
	longest int // bytes of a packet; longer ones are lost
	work    sync.WaitGroup

	mu    sync.Mutex // protects following
	doors map[netip.AddrPort]*door
	links []*netem.Link
}

// door is where packets for a socket are left.
type door struct {
	of   netip.AddrPort
	conn *net.UDPConn
}

func newDetour(c netem.Config, longest int) *detour {
	return &detour{config: c, longest: longest, doors: map[netip.AddrPort]*door{}}
}

// candidateLine is a host candidate, in a description or by itself.
var candidateLine = regexp.MustCompile(`(candidate:\S+ \d+ )(\S+)( \d+ )(\S+) (\d+)( typ host)`)

// rewrite replaces the addresses in what an end says: of UDP over IPv4 by doors,
// all others by one where nobody is.
func (d *detour) rewrite(text string) (string, error) {
	var failed error
	text = candidateLine.ReplaceAllStringFunc(text, func(line string) string {
		m := candidateLine.FindStringSubmatch(line)
		addr, err := netip.ParseAddr(m[4])
		port, portErr := strconv.ParseUint(m[5], 10, 16)
		if err != nil || portErr != nil || !addr.Is4() || (m[2] != "udp" && m[2] != "UDP") {
			return m[1] + m[2] + m[3] + "127.0.0.1 9" + m[6]
		}
		at, err := d.door(netip.AddrPortFrom(addr, uint16(port)))
		if err != nil {
			failed = err
			return line
		}
		to := at.conn.LocalAddr().(*net.UDPAddr).AddrPort()
		return fmt.Sprintf("%s%s%s%s %d%s", m[1], m[2], m[3], to.Addr().Unmap(), to.Port(), m[6])
	})
	return text, failed
}

// door is the one of a socket, opened at the first time.
func (d *detour) door(of netip.AddrPort) (*door, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at := d.doors[of]; at != nil {
		return at, nil
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(of.Addr(), 0)))
	if err != nil {
		return nil, err
	}
	const buffer = 4 << 20
	_, _ = conn.SetReadBuffer(buffer), conn.SetWriteBuffer(buffer) // the kernel gives what it allows
	at := &door{of: of, conn: conn}
	d.doors[of] = at
	d.work.Go(func() { d.carry(at) })
	return at, nil
}

// carry passes packets received at a door to the link of their sender.
func (d *detour) carry(to *door) {
	links := map[netip.AddrPort]*netem.Link{}
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := to.conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if n > d.longest {
			continue
		}
		if links[from] == nil {
			if links[from], err = d.link(from, to); err != nil {
				return
			}
		}
		links[from].Send(buffer[:n])
	}
}

// link starts a link from a socket to the owner of a door, who receives the
// packets from the door of their sender.
func (d *detour) link(from netip.AddrPort, to *door) (*netem.Link, error) {
	back, err := d.door(from)
	if err != nil {
		return nil, err
	}
	l := netem.NewLink(d.config, func(b []byte) { _, _ = back.conn.WriteToUDPAddrPort(b, to.of) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.links = append(d.links, l)
	return l, nil
}

func (d *detour) close() {
	d.mu.Lock()
	for _, at := range d.doors {
		_ = at.conn.Close()
	}
	d.mu.Unlock()
	d.work.Wait()
	for _, l := range d.links {
		l.Close()
	}
}

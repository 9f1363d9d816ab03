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

// Ends of a call.
const (
	sender   = 0
	receiver = 1
)

// A detour carries the packets of a call over two emulated links, one for each direction. It
// rewrites the addresses that one end signals to the other, so that each knows nothing but doors of
// the detour, one for each address of the other.
type detour struct {
	links   [2]*netem.Link // by the end to which they carry packets
	longest int            // bytes of a packet; longer ones are lost
	onStart func()         // called when the measurement starts; may be nil
	onEnd   func()         // called when it ends; may be nil
	work    sync.WaitGroup

	mu    sync.Mutex // guards doors
	doors map[netip.AddrPort]*door
}

// door is where packets for a socket are left.
type door struct {
	of   netip.AddrPort
	end  int // the owner of the socket
	conn *net.UDPConn
}

// newDetour opens a detour. The caller closes it.
func newDetour(n network) *detour {
	d := &detour{longest: ethernet, doors: map[netip.AddrPort]*door{}}
	back := n.config
	back.Rate, back.Queue = 0, 0 // the packets that acknowledge are no bottleneck
	d.links[receiver] = netem.NewLink(n.config, nil)
	d.links[sender] = netem.NewLink(back, nil)
	return d
}

// candidateLine is a host candidate, in a description or by itself.
var candidateLine = regexp.MustCompile(`(candidate:\S+ \d+ )(\S+)( \d+ )(\S+) (\d+)( typ host)`)

// rewrite replaces the addresses in what an end signals: of UDP over IPv4 by doors, all others by
// one where no socket is.
func (d *detour) rewrite(end int, text string) (string, error) {
	var failed error
	text = candidateLine.ReplaceAllStringFunc(text, func(line string) string {
		m := candidateLine.FindStringSubmatch(line)
		addr, err := netip.ParseAddr(m[4])
		port, portErr := strconv.ParseUint(m[5], 10, 16)
		if err != nil || portErr != nil || !addr.Is4() || (m[2] != "udp" && m[2] != "UDP") {
			return m[1] + m[2] + m[3] + "127.0.0.1 9" + m[6]
		}
		at, err := d.door(netip.AddrPortFrom(addr, uint16(port)), end)
		if err != nil {
			failed = err
			return line
		}
		to := at.conn.LocalAddr().(*net.UDPAddr).AddrPort()
		return fmt.Sprintf("%s%s%s%s %d%s", m[1], m[2], m[3], to.Addr().Unmap(), to.Port(), m[6])
	})
	return text, failed
}

// door returns the door of a socket of an end, which the first call opens.
func (d *detour) door(of netip.AddrPort, end int) (*door, error) {
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
	at := &door{of: of, end: end, conn: conn}
	d.doors[of] = at
	d.work.Go(func() { d.carry(at) })
	return at, nil
}

// carry passes packets received at a door to the owner of the door, who receives them from the door
// of their sender.
func (d *detour) carry(to *door) {
	deliver := map[netip.AddrPort]func([]byte){}
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := to.conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if n > d.longest {
			continue
		}
		if deliver[from] == nil {
			back, err := d.door(from, 1-to.end)
			if err != nil {
				return
			}
			deliver[from] = func(b []byte) { _, _ = back.conn.WriteToUDPAddrPort(b, to.of) }
		}
		d.links[to.end].SendTo(buffer[:n], deliver[from])
	}
}

// started reports the start of the measurement.
func (d *detour) started() {
	if d.onStart != nil {
		d.onStart()
	}
}

// ended reports the end of the measurement.
func (d *detour) ended() {
	if d.onEnd != nil {
		d.onEnd()
	}
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

package tap

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/pion/transport/v4"

	"parley/peer/internal/netaddr"
)

// log is a Tap that notes what it sees.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) note(kind string, out bool, local, remote netip.AddrPort, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line(kind, out, local, remote, string(data)))
}

func line(kind string, out bool, local, remote netip.AddrPort, data string) string {
	return fmt.Sprint(kind, " out ", out, " ", local, " ", remote, " ", data)
}

func (l *log) Datagram(out bool, local, remote netip.AddrPort, data []byte) {
	l.note("datagram", out, local, remote, data)
}

func (l *log) Segment(out bool, local, remote netip.AddrPort, data []byte) {
	l.note("segment", out, local, remote, data)
}

// check compares what the tap has seen.
func (l *log) check(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.lines, want) {
		t.Errorf("got %q, want %q", l.lines, want)
	}
}

// Every method by which Pion reads and writes a UDP socket is tapped, once.
func TestUDP(t *testing.T) {
	listen := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	reads := map[string]func(c *udpConn, b []byte) (int, error){
		"ReadFrom":            func(c *udpConn, b []byte) (int, error) { n, _, err := c.ReadFrom(b); return n, err },
		"ReadFromUDP":         func(c *udpConn, b []byte) (int, error) { n, _, err := c.ReadFromUDP(b); return n, err },
		"ReadFromUDPAddrPort": func(c *udpConn, b []byte) (int, error) { n, _, err := c.ReadFromUDPAddrPort(b); return n, err },
	}
	writes := map[string]func(c *udpConn, b []byte, to *net.UDPAddr) (int, error){
		"WriteTo":    func(c *udpConn, b []byte, to *net.UDPAddr) (int, error) { return c.WriteTo(b, to) },
		"WriteToUDP": (*udpConn).WriteToUDP,
		"WriteToUDPAddrPort": func(c *udpConn, b []byte, to *net.UDPAddr) (int, error) {
			return c.WriteToUDPAddrPort(b, to.AddrPort())
		},
	}
	for r, read := range reads {
		for w, write := range writes {
			t.Run(w+" "+r, func(t *testing.T) {
				tap := &log{}
				var conn transport.UDPConn = UDP(listen(), tap)
				peer := listen()
				defer peer.Close()
				at, from := netaddr.AddrPort(conn.LocalAddr()), netaddr.AddrPort(peer.LocalAddr())
				if n, err := write(conn.(*udpConn), []byte("ping"), peer.LocalAddr().(*net.UDPAddr)); n != 4 || err != nil {
					t.Fatal(n, err)
				}
				if _, err := peer.WriteToUDPAddrPort([]byte("pong"), at); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 10)
				if n, err := read(conn.(*udpConn), b); n != 4 || err != nil {
					t.Fatal(n, err)
				}
				_ = conn.Close()
				if n, err := read(conn.(*udpConn), b); n > 0 || err == nil {
					t.Errorf("read of the closed socket: %d, %v", n, err)
				}
				tap.check(t, line("datagram", true, at, from, "ping"), line("datagram", false, at, from, "pong"))
			})
		}
	}
}

// A listener taps the connections that it accepts. Without a tap, there is nothing between.
func TestTCP(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	near, far := &log{}, &log{}
	l := Listener(inner, far)
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := TCP(dialed, near)
	defer conn.Close()
	if Listener(inner, nil) != inner || TCP(dialed, nil) != dialed {
		t.Error("a connection or a listener is wrapped without a tap")
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := accepted.Read(b); string(b[:n]) != "ping" || err != nil {
		t.Fatal(n, err)
	}
	a, z := netaddr.AddrPort(conn.LocalAddr()), netaddr.AddrPort(accepted.LocalAddr())
	near.check(t, line("segment", true, a, z, "ping"))
	far.check(t, line("segment", false, z, a, "ping"))
}

//go:build amd64 || arm64

package udp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"parley/peer/internal/netaddr"
)

// listen returns a UDP socket with space for what a test sends at once.
func listen(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	local, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadBuffer(4 << 20)
	return conn
}

// burstEnds returns a Group, a socket of it, and two sockets that receive.
func burstEnds(t *testing.T, address string) (*Group, *socket, [2]*net.UDPConn) {
	t.Helper()
	g := &Group{}
	s := g.Wrap(listen(t, address)).(*socket)
	t.Cleanup(func() { _ = s.Close() })
	var to [2]*net.UDPConn
	for i := range to {
		to[i] = listen(t, address)
		if err := to[i].SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return g, s, to
}

// numbered returns a datagram of a size that begins with a number.
func numbered(number, size int) []byte {
	b := bytes.Repeat([]byte{byte(number)}, size)
	binary.BigEndian.PutUint16(b, uint16(number))
	return b
}

// receiveNumbered reads datagrams and compares them with those sent.
func receiveNumbered(t *testing.T, from *net.UDPConn, want [][]byte) {
	t.Helper()
	b := make([]byte, 1<<16)
	for i, w := range want {
		n, err := from.Read(b)
		if err != nil {
			t.Fatalf("datagram %d of %d: %v", i, len(want), err)
		}
		if !bytes.Equal(b[:n], w) {
			t.Fatalf("datagram %d: got number %d of %d bytes, want number %d of %d bytes",
				i, binary.BigEndian.Uint16(b), n, binary.BigEndian.Uint16(w), len(w))
		}
	}
}

func TestBurst(t *testing.T) {
	sizes := map[string]func(i int) int{
		"of one size":     func(int) int { return 1265 },
		"the last short":  func(i int) int { return 1265 - 900*(i/199) },
		"of three sizes":  func(i int) int { return []int{1200, 700, 1265}[i%3] },
		"short ones":      func(i int) int { return 20 + i },
		"longer and long": func(i int) int { return 300 + 40*i },
	}
	for name, size := range sizes {
		for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
			t.Run(name+" "+address, func(t *testing.T) {
				g, socket, to := burstEnds(t, address)
				var want [2][][]byte
				g.BeginBurst()
				for i := range 200 {
					b, end := numbered(i, size(i)), i/50%2
					want[end] = append(want[end], slices.Clone(b))
					at := netaddr.AddrPort(to[end].LocalAddr())
					if sent, err := socket.WriteToAddrPort(b, at); err != nil || sent != len(b) {
						t.Fatalf("WriteToAddrPort: %d, %v", sent, err)
					}
					clear(b) // the caller may use it again
				}
				g.EndBurst()
				for end := range to {
					receiveNumbered(t, to[end], want[end])
				}
				if socket.collection.refused {
					t.Error("the kernel refuses segmentation")
				}
			})
		}
	}
}

// Datagrams wait for the end of their burst, and without a burst for nothing.
func TestBurstEnds(t *testing.T) {
	g, socket, to := burstEnds(t, "127.0.0.1:0")
	at := netaddr.AddrPort(to[0].LocalAddr())
	write := func(number int) []byte {
		b := numbered(number, 1000)
		if _, err := socket.WriteToAddrPort(b, at); err != nil {
			t.Fatal(err)
		}
		return b
	}
	receiveNumbered(t, to[0], [][]byte{write(1)})
	g.BeginBurst()
	collected := [][]byte{write(2), write(3)}
	if got := socket.collection.count; got != 2 {
		t.Errorf("%d datagrams collected, want 2", got)
	}
	g.EndBurst()
	receiveNumbered(t, to[0], collected)
	receiveNumbered(t, to[0], [][]byte{write(4)})
	// A goroutine that has seen the burst may write after its end.
	if !socket.collect(numbered(5, 1000), at) {
		t.Fatal("the datagram was not collected")
	}
	receiveNumbered(t, to[0], [][]byte{numbered(5, 1000)})
}

// A kernel that refuses segmentation gets the datagrams one by one, and is not asked again.
func TestBurstIsRefused(t *testing.T) {
	g, socket, to := burstEnds(t, "127.0.0.1:0")
	at := netaddr.AddrPort(to[0].LocalAddr())
	var want [][]byte
	c := &socket.collection
	c.mu.Lock()
	c.size, c.to, c.count = 300, at, 200 // more than any kernel takes
	for i := range c.count {
		want = append(want, numbered(i, c.size))
		c.data = append(c.data, want[i]...)
	}
	socket.sendCollection()
	refused := c.refused
	c.mu.Unlock()
	if !refused {
		t.Error("the kernel has taken 200 segments")
	}
	receiveNumbered(t, to[0], want)
	g.BeginBurst()
	defer g.EndBurst()
	if _, err := socket.WriteToAddrPort(want[0], at); err != nil {
		t.Fatal(err)
	}
	receiveNumbered(t, to[0], want[:1])
}

// A kernel that refuses segmentation in the middle of a burst does not change the order. It refuses
// it here because the socket sends no checksums.
func TestBurstIsRefusedMeanwhile(t *testing.T) {
	g, socket, to := burstEnds(t, "127.0.0.1:0")
	if err := socket.raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	g.BeginBurst()
	var want [][]byte
	for i := range 150 {
		want = append(want, numbered(i, 1200))
		if _, err := socket.WriteToAddrPort(want[i], netaddr.AddrPort(to[0].LocalAddr())); err != nil {
			t.Fatal(err)
		}
	}
	g.EndBurst()
	receiveNumbered(t, to[0], want)
	if !socket.collection.refused {
		t.Error("the kernel has segmented without checksums")
	}
}

// A kernel that does not know UDP_SEGMENT would ignore it.
func TestUnknownSegmentation(t *testing.T) {
	_, socket, to := burstEnds(t, "127.0.0.1:0")
	if !canSegment(socket.raw) {
		t.Error("this kernel does not know UDP_SEGMENT")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if canSegment(raw) {
		t.Error("a socket of TCP knows UDP_SEGMENT")
	}
	if canSegment(closedSocket{}) {
		t.Error("a closed socket knows UDP_SEGMENT")
	}
	socket.collection.refused = true
	if socket.collect(numbered(1, 1000), netaddr.AddrPort(to[0].LocalAddr())) {
		t.Error("a datagram was collected")
	}
}

type closedSocket struct{ syscall.RawConn }

func (closedSocket) Control(func(uintptr)) error { return net.ErrClosed }

// A socket of both families sends to IPv4-mapped addresses.
func TestBurstToMappedAddress(t *testing.T) {
	g, socket, _ := burstEnds(t, "[::]:0")
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	_ = to.SetReadDeadline(time.Now().Add(10 * time.Second))
	at := netaddr.AddrPort(to.LocalAddr())
	for _, at := range []netip.AddrPort{at, netip.AddrPortFrom(netip.AddrFrom16(at.Addr().As16()), at.Port())} {
		var want [][]byte
		g.BeginBurst()
		for i := range 50 {
			want = append(want, numbered(i, 1000))
			if _, err := socket.WriteToAddrPort(want[i], at); err != nil {
				t.Fatal(err)
			}
		}
		g.EndBurst()
		receiveNumbered(t, to, want)
	}
	if socket.collection.refused {
		t.Error("the kernel refuses segmentation")
	}
}

// A datagram that is written between the end of a burst and its sending does not overtake it.
func TestBurstIsNotOvertaken(t *testing.T) {
	g, socket, to := burstEnds(t, "127.0.0.1:0")
	want := [][]byte{numbered(0, 1200), numbered(1, 1200)}
	g.BeginBurst()
	for i, b := range want {
		if _, err := socket.WriteToAddrPort(b, netaddr.AddrPort(to[0].LocalAddr())); err != nil {
			t.Fatal(err)
		}
		g.active.Store(i > 0)
	}
	g.EndBurst()
	receiveNumbered(t, to[0], want)
}

// What one goroutine sends stays in order while another begins and ends bursts, and closing the
// socket meanwhile ends both.
func TestBurstsBesideOthers(t *testing.T) {
	g, socket, to := burstEnds(t, "127.0.0.1:0")
	var done atomic.Bool
	var writers sync.WaitGroup
	writers.Go(func() {
		for !done.Load() {
			g.BeginBurst()
			for i := range 20 {
				_, _ = socket.WriteToAddrPort(numbered(i, 1200), netaddr.AddrPort(to[1].LocalAddr()))
			}
			g.EndBurst()
		}
	})
	defer writers.Wait()
	defer done.Store(true)
	var want [][]byte
	for i := range 3000 {
		want = append(want[:i], numbered(i, 1000+i%2*100))
		if _, err := socket.WriteToAddrPort(want[i], netaddr.AddrPort(to[0].LocalAddr())); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 { // what the receive buffer can hold
			receiveNumbered(t, to[0], want[i-99:])
		}
	}
	_ = socket.Close()
}

// A burst to an address that cannot be reached, or from a closed socket, is lost without harm.
func TestBurstFails(t *testing.T) {
	g, socket, to := burstEnds(t, "127.0.0.1:0")
	at := netaddr.AddrPort(to[0].LocalAddr())
	for _, to := range []netip.AddrPort{netip.MustParseAddrPort("255.255.255.255:9"), at} {
		g.BeginBurst()
		for i := range 10 {
			if _, err := socket.WriteToAddrPort(numbered(i, 1000), to); err != nil {
				t.Fatal(err)
			}
		}
		g.EndBurst()
	}
	receiveNumbered(t, to[0], [][]byte{numbered(0, 1000)})
	g.BeginBurst()
	_, _ = socket.WriteToAddrPort(numbered(1, 1000), at)
	_ = socket.Close()
	g.EndBurst()
	if _, err := socket.WriteToAddrPort(numbered(2, 1000), at); err == nil || os.IsTimeout(err) {
		t.Errorf("write to a closed socket: %v", err)
	}
}

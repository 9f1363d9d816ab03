//go:build amd64 || arm64

package icenet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"parley/peer/internal/netaddr"
	"parley/peer/netem"
)

// readers are the methods by which a socket is read.
var readers = map[string]func(s *udpSocket, b []byte) (int, netip.AddrPort, error){
	"ReadFromAddrPort":    (*udpSocket).ReadFromAddrPort,
	"ReadFromUDPAddrPort": (*udpSocket).ReadFromUDPAddrPort,
	"Read": func(s *udpSocket, b []byte) (int, netip.AddrPort, error) {
		n, err := s.Read(b)
		return n, netip.AddrPort{}, err
	},
	"ReadFrom": func(s *udpSocket, b []byte) (int, netip.AddrPort, error) {
		n, from, err := s.ReadFrom(b)
		return n, netaddr.AddrPort(from), err
	},
	"ReadFromUDP": func(s *udpSocket, b []byte) (int, netip.AddrPort, error) {
		n, from, err := s.ReadFromUDP(b)
		return n, from.AddrPort(), err
	},
	"ReadMsgUDP": func(s *udpSocket, b []byte) (int, netip.AddrPort, error) {
		n, _, _, from, err := s.ReadMsgUDP(b, nil)
		return n, from.AddrPort(), err
	},
}

// batchEnds returns a socket that receives in batches, and two Nets with a socket each that send to
// it.
func batchEnds(t *testing.T, address string) (*udpSocket, [2]*Net, [2]*udpSocket) {
	t.Helper()
	var nets [2]*Net
	var from [2]*udpSocket
	_, socket, _ := burstEnds(t, address)
	for i := range nets {
		nets[i], from[i], _ = burstEnds(t, address)
	}
	if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	const first = batchAfter + 1
	for i := range first {
		sendTo(t, from[0], socket, numbered(i, 100))
	}
	b := make([]byte, 1<<16)
	for i := range first {
		if n, _, err := socket.ReadFromAddrPort(b); n != 100 || err != nil || int(binary.BigEndian.Uint16(b)) != i {
			t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
	}
	if !socket.batched || socket.batch != nil {
		t.Fatalf("after %d datagrams in turn: batched %t, with a batch %t", first, socket.batched, socket.batch != nil)
	}
	return socket, nets, from
}

func sendTo(t *testing.T, from, to *udpSocket, b []byte) {
	t.Helper()
	if n, err := from.WriteToAddrPort(b, netaddr.AddrPort(to.LocalAddr())); n != len(b) || err != nil {
		t.Fatalf("WriteToAddrPort: %d, %v", n, err)
	}
}

// Datagrams of bursts of two peers, of many sizes and none, are read one by one, by every method.
func TestBatch(t *testing.T) {
	sizes := map[string]func(i int) int{
		"of one size":              func(int) int { return 1265 },
		"the last short":           func(i int) int { return 1265 - 900*(i%50/49) },
		"of three sizes":           func(i int) int { return []int{1200, 700, 1265}[i%3] },
		"short and empty":          func(i int) int { return i % 3 },
		"longer than Ethernet has": func(i int) int { return 9000 + 20*(i%5) },
	}
	for name, size := range sizes {
		for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
			for method, read := range readers {
				t.Run(fmt.Sprint(name, " ", address, " ", method), func(t *testing.T) {
					socket, nets, from := batchEnds(t, address)
					type datagram struct {
						from netip.AddrPort
						data []byte
					}
					var want []datagram
					for i := range 200 {
						end := i / 50 % 2
						if i%50 == 0 {
							nets[end].BeginBurst()
						}
						b := bytes.Repeat([]byte{byte(i)}, size(i))
						sendTo(t, from[end], socket, b)
						want = append(want, datagram{netaddr.AddrPort(from[end].LocalAddr()), b})
						if i%50 == 49 {
							nets[end].EndBurst()
						}
					}
					p := make([]byte, 10_000)
					for i, w := range want {
						n, at, err := read(socket, p)
						if err != nil || !bytes.Equal(p[:n], w.data) || method != "Read" && netaddr.Unmap(at) != w.from {
							t.Fatalf("datagram %d of %d: got %d bytes from %s, %v; want %d from %s", i, len(want), n, at, err, len(w.data), w.from)
						}
					}
					if socket.batch != nil {
						t.Error("the socket keeps a batch although all datagrams are read")
					}
				})
			}
		}
	}
}

// The kernel coalesces what one call has sent: else TestBatch would prove less than it seems to.
func TestCoalescedDatagrams(t *testing.T) {
	socket, nets, from := batchEnds(t, "127.0.0.1:0")
	if err := socket.raw.Control(func(fd uintptr) {
		if on, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO); err != nil || on == 0 {
			t.Skipf("this kernel does not coalesce: %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	nets[0].BeginBurst()
	for i := range 30 {
		sendTo(t, from[0], socket, numbered(i, 1000))
	}
	nets[0].EndBurst()
	b := make([]byte, 10) // what does not fit is lost, of this datagram only
	for i := range 30 {
		n, _, err := socket.ReadFromAddrPort(b)
		if n != len(b) || err != nil || int(binary.BigEndian.Uint16(b)) != i {
			t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
		if i == 0 && (socket.batch.received != 1 || socket.batch.size() != 1000) {
			t.Errorf("%d messages, with datagrams of %d bytes", socket.batch.received, socket.batch.size())
		}
	}
	sendTo(t, from[0], socket, numbered(1, 1000))
	if n, _, err := socket.ReadFromAddrPort(nil); n != 0 || err != nil {
		t.Errorf("a read without a buffer: %d, %v", n, err)
	}
}

// What was received but not read is lost when the socket is closed, also during a read.
func TestCloseWithBatch(t *testing.T) {
	socket, _, from := batchEnds(t, "127.0.0.1:0")
	for i := range 20 {
		sendTo(t, from[0], socket, numbered(i, 100))
	}
	b := make([]byte, 1000)
	if _, _, err := socket.ReadFromAddrPort(b); err != nil || socket.batch == nil {
		t.Fatalf("no batch: %v", err)
	}
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := socket.ReadFromAddrPort(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read of the closed socket: %d, %v", n, err)
	}
	if socket, _, _ := batchEnds(t, "127.0.0.1:0"); socket != nil {
		failed := make(chan error)
		go func() {
			_, _, err := socket.ReadFromAddrPort(b)
			failed <- err
		}()
		_ = socket.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read during Close: %v", err)
		}
	}
}

// A kernel without recvmmsg, or a sandbox, is read one by one.
func TestRefusedBatches(t *testing.T) {
	_, socket, _ := burstEnds(t, "127.0.0.1:0")
	_, from, _ := burstEnds(t, "127.0.0.1:0")
	if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	socket.receiveMany = func(*batch, uintptr) unix.Errno { return unix.ENOSYS }
	var want [][]byte
	for i := range 50 {
		want = append(want, numbered(i, 100+i))
		sendTo(t, from, socket, slices.Clone(want[i]))
	}
	b := make([]byte, 1000)
	for i, w := range want {
		if n, at, err := socket.ReadFromAddrPort(b); err != nil || at != netaddr.AddrPort(from.LocalAddr()) || !bytes.Equal(b[:n], w) {
			t.Fatalf("datagram %d: %d bytes from %s, %v", i, n, at, err)
		}
	}
	if !socket.refused || socket.batched {
		t.Errorf("refused %t, batched %t", socket.refused, socket.batched)
	}
}

// An ICMP error for what a socket has sent does not disturb what it receives.
func TestBatchAfterICMP(t *testing.T) {
	socket, _, from := batchEnds(t, "127.0.0.1:0")
	gone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	nobody := netaddr.AddrPort(gone.LocalAddr())
	_ = gone.Close()
	for i := range 20 {
		if _, err := socket.WriteToAddrPort([]byte("anybody?"), nobody); err != nil {
			t.Fatal(err)
		}
		sendTo(t, from[0], socket, numbered(i, 100))
	}
	b := make([]byte, 1000)
	for i := range 20 {
		if n, _, err := socket.ReadFromAddrPort(b); n != 100 || err != nil || int(binary.BigEndian.Uint16(b)) != i {
			t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
	}
}

// countTap counts the datagrams received, by size.
type countTap struct {
	mu    sync.Mutex
	sizes map[int]int
}

func (c *countTap) Datagram(out bool, _, _ netip.AddrPort, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !out {
		c.sizes[len(data)]++
	}
}

func (*countTap) Segment(bool, netip.AddrPort, netip.AddrPort, []byte) {}

// An emulator and a tap above a socket see each datagram by itself.
func TestBatchBelow(t *testing.T) {
	tap := &countTap{sizes: map[int]int{}}
	emulator := netem.NewEmulator(netem.Config{Delay: time.Millisecond})
	t.Cleanup(func() { _ = emulator.Close() })
	for name, config := range map[string]Config{"tap": {Tap: tap}, "netem": {Netem: emulator}} {
		t.Run(name, func(t *testing.T) {
			n, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.Close)
			conn, err := n.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			sender, from, _ := burstEnds(t, "127.0.0.1:0")
			const bursts, datagrams = 20, 10
			b := make([]byte, 10_000)
			for burst := range bursts {
				sender.BeginBurst()
				for i := range datagrams {
					if _, err := from.WriteToAddrPort(numbered(burst*datagrams+i, 1000), netaddr.AddrPort(conn.LocalAddr())); err != nil {
						t.Fatal(err)
					}
				}
				sender.EndBurst()
			}
			for i := range bursts * datagrams {
				if n, _, err := conn.ReadFrom(b); n != 1000 || err != nil || int(binary.BigEndian.Uint16(b)) != i {
					t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
				}
			}
		})
	}
	tap.mu.Lock()
	defer tap.mu.Unlock()
	if len(tap.sizes) != 1 || tap.sizes[1000] != 200 {
		t.Errorf("the tap saw datagrams by size %v, want 200 of 1000 bytes", tap.sizes)
	}
}

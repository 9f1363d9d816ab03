//go:build amd64 || arm64

package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"parley/peer/internal/netaddr"
)

// readers are the methods by which a socket is read.
var readers = map[string]func(s *socket, b []byte) (int, netip.AddrPort, error){
	"ReadFromAddrPort":    (*socket).ReadFromAddrPort,
	"ReadFromUDPAddrPort": (*socket).ReadFromUDPAddrPort,
	"Read": func(s *socket, b []byte) (int, netip.AddrPort, error) {
		n, err := s.Read(b)
		return n, netip.AddrPort{}, err
	},
	"ReadFrom": func(s *socket, b []byte) (int, netip.AddrPort, error) {
		n, from, err := s.ReadFrom(b)
		return n, netaddr.AddrPort(from), err
	},
	"ReadFromUDP": func(s *socket, b []byte) (int, netip.AddrPort, error) {
		n, from, err := s.ReadFromUDP(b)
		return n, from.AddrPort(), err
	},
	"ReadMsgUDP": func(s *socket, b []byte) (int, netip.AddrPort, error) {
		n, _, _, from, err := s.ReadMsgUDP(b, nil)
		return n, from.AddrPort(), err
	},
}

// batchEnds returns a socket that receives in batches, and two Groups with a socket each that send
// to it.
func batchEnds(t *testing.T, address string) (*socket, [2]*Group, [2]*socket) {
	t.Helper()
	var groups [2]*Group
	var from [2]*socket
	_, to, _ := burstEnds(t, address)
	for i := range groups {
		groups[i], from[i], _ = burstEnds(t, address)
	}
	if err := to.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	const first = batchAfter + 1
	for i := range first {
		sendTo(t, from[0], to, numbered(i, 100))
	}
	b := make([]byte, 1<<16)
	for i := range first {
		if n, _, err := to.ReadFromAddrPort(b); n != 100 || err != nil || int(binary.BigEndian.Uint16(b)) != i {
			t.Fatalf("datagram %d: %d bytes, %v", i, n, err)
		}
	}
	if !to.batched || to.batch != nil {
		t.Fatalf("after %d datagrams in turn: batched %t, with a batch %t", first, to.batched, to.batch != nil)
	}
	return to, groups, from
}

func sendTo(t *testing.T, from, to *socket, b []byte) {
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
					socket, groups, from := batchEnds(t, address)
					type datagram struct {
						from netip.AddrPort
						data []byte
					}
					var want []datagram
					for i := range 200 {
						end := i / 50 % 2
						if i%50 == 0 {
							groups[end].BeginBurst()
						}
						b := bytes.Repeat([]byte{byte(i)}, size(i))
						sendTo(t, from[end], socket, b)
						want = append(want, datagram{netaddr.AddrPort(from[end].LocalAddr()), b})
						if i%50 == 49 {
							groups[end].EndBurst()
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
	socket, groups, from := batchEnds(t, "127.0.0.1:0")
	if err := socket.raw.Control(func(fd uintptr) {
		if on, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO); err != nil || on == 0 {
			t.Skipf("this kernel does not coalesce: %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	groups[0].BeginBurst()
	for i := range 30 {
		sendTo(t, from[0], socket, numbered(i, 1000))
	}
	groups[0].EndBurst()
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

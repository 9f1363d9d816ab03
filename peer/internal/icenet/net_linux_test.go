//go:build amd64 || arm64

package icenet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"

	"parley/peer/internal/netaddr"
	"parley/peer/netem"
)

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
			sender, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(sender.Close)
			local, err := sender.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = local.Close() })
			from, ok := local.(ice.AddrPortReaderWriter)
			if !ok {
				t.Fatalf("the socket is a %T, which ICE reads by allocating an address", local)
			}
			const bursts, datagrams = 20, 10
			b := make([]byte, 10_000)
			for burst := range bursts {
				sender.BeginBurst()
				for i := range datagrams {
					sent := make([]byte, 1000)
					binary.BigEndian.PutUint16(sent, uint16(burst*datagrams+i))
					if _, err := from.WriteToAddrPort(sent, netaddr.AddrPort(conn.LocalAddr())); err != nil {
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

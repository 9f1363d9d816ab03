//go:build amd64 || arm64

package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pion/ice/v4"

	"parley/peer/internal/netaddr"
)

// ICE uses a socket of ours by methods that do the same as those of the net package.
func TestUDPSocket(t *testing.T) {
	for address, from := range map[string]string{"127.0.0.1:0": "127.0.0.1:0", "[::1]:0": "[::1]:0", "[::]:0": "127.0.0.1:0"} {
		local, err := net.ResolveUDPAddr("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		remote, err := net.ResolveUDPAddr("udp", from)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := net.ListenUDP("udp", local)
		if err != nil {
			t.Fatal(err)
		}
		conn := new(Group).Wrap(opened)
		socket, ok := conn.(ice.AddrPortReaderWriter)
		if !ok {
			t.Fatalf("%s: the socket is a %T, which ICE reads by allocating an address", address, conn)
		}
		peer, err := net.ListenUDP("udp", remote)
		if err != nil {
			t.Fatal(err)
		}
		at := netip.AddrPortFrom(netaddr.AddrPort(peer.LocalAddr()).Addr(), netaddr.AddrPort(conn.LocalAddr()).Port())
		from := netaddr.AddrPort(peer.LocalAddr())
		for size := range 3 {
			sent := bytes.Repeat([]byte{'x'}, size*10)
			if _, err := peer.WriteToUDPAddrPort(sent, at); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 15) // the last datagram is longer
			n, got, err := socket.ReadFromAddrPort(b)
			if want := min(len(sent), len(b)); n != want || netaddr.Unmap(got) != from || err != nil || !bytes.Equal(b[:n], sent[:want]) {
				t.Errorf("%s: read %q from %s, %v; want %d bytes from %s", address, b[:n], got, err, want, from)
			}
		}
		if _, err := socket.WriteToAddrPort([]byte("back"), from); err != nil {
			t.Fatal(err)
		}
		if n, got, err := peer.ReadFromUDPAddrPort(make([]byte, 15)); n != 4 || got != at || err != nil {
			t.Errorf("%s: the peer read %d bytes from %s, %v; want 4 from %s", address, n, got, err, at)
		}
		_ = peer.Close()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, _, err := socket.ReadFromAddrPort(make([]byte, 15)); !errors.Is(err, os.ErrDeadlineExceeded) || n != 0 {
			t.Errorf("%s: after the deadline read %d bytes, %v", address, n, err)
		}
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		for range 2 {
			go func() {
				_, _, err := socket.ReadFromAddrPort(make([]byte, 15))
				failed <- err
			}()
		}
		_ = conn.Close()
		for range 2 {
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: a read of the closed socket returned %v", address, err)
			}
		}
	}
}

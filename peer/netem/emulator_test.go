package netem

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pion/transport/v4/stdnet"
)

// listen opens an emulated socket of the host until the test ends.
func listen(t *testing.T, e *Emulator) net.PacketConn {
	t.Helper()
	host, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.Net(host).ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// exchange sends 200 numbered RTP packets through a link and returns the numbers that were
// received.
func exchange(t *testing.T, from, to net.PacketConn, l *Link) (got []int) {
	t.Helper()
	const n, timeout = 200, 10 * time.Second
	received := func() bool {
		c := l.Counts()
		return c.Sent == n && c.Delivered == c.Sent-c.Dropped+c.Duplicated && len(got) == c.Delivered
	}
	buffer := make([]byte, 100)
	for i, end := 0, time.Now().Add(timeout); !received(); {
		if i < n {
			if _, err := from.WriteTo([]byte{0x80, 111, byte(i)}, to.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			if i++; i%20 != 0 { // few at a time, so that no buffer of the kernel overflows
				continue
			}
		}
		for {
			_ = to.SetReadDeadline(time.Now().Add(time.Millisecond))
			size, _, err := to.ReadFrom(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil || size != 3 {
				t.Fatalf("got %d bytes, %v", size, err)
			}
			got = append(got, int(buffer[2]))
		}
		if time.Now().After(end) {
			t.Fatalf("got %d packets within %v, counts %+v", len(got), timeout, l.Counts())
		}
	}
	return got
}

// TestEmulatorIsReproducible checks both directions with equal and with different seeds.
func TestEmulatorIsReproducible(t *testing.T) {
	t.Parallel()
	run := func(seed uint64, outbound bool) []int {
		e := NewEmulator(Config{Loss: .2, Duplicate: .1, Seed: seed})
		defer e.Close()
		plain, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		emulated := listen(t, e)
		if outbound {
			return exchange(t, emulated, plain, e.outbound)
		}
		return exchange(t, plain, emulated, e.inbound)
	}
	for name, outbound := range map[string]bool{"outbound": true, "inbound": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, again, other := run(7, outbound), run(7, outbound), run(9, outbound)
			if !slices.Equal(first, again) {
				t.Errorf("the same seed gave %v and %v", first, again)
			}
			if slices.Equal(first, other) || len(first) < 120 || len(first) > 210 {
				t.Errorf("different seeds gave %d and %d of 200", len(first), len(other))
			}
		})
	}
}

// TestSocketDeadlineAndClose checks that both interrupt a read, each with its error.
func TestSocketDeadlineAndClose(t *testing.T) {
	t.Parallel()
	e := NewEmulator(Config{})
	defer e.Close()
	c := listen(t, e)
	result := make(chan error, 1)
	read := func() {
		_, _, err := c.ReadFrom(make([]byte, 10))
		result <- err
	}
	go read()
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past the deadline: got %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	go read()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: got %v", err)
	}
	if _, err := c.WriteTo([]byte{1}, c.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: got %v", err)
	}
}

func TestNilEmulator(t *testing.T) {
	t.Parallel()
	host, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	if got := (*Emulator)(nil).Net(host); got != host {
		t.Errorf("nil Emulator: got %T", got)
	}
}

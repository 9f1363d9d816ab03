package peer

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pion/transport/v4/stdnet"

	"parley/peer/road"
)

// impairedSocket is a socket of the host behind an impairment, until the test ends.
func impairedSocket(t *testing.T, i *Impairment) net.PacketConn {
	t.Helper()
	host, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	c, err := impaired(host, i).ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// through sends numbered packets of sound from one socket to another, and returns those that arrive, in order.
func through(t *testing.T, from, to net.PacketConn) (came []int) {
	t.Helper()
	const n = 200
	for i := range n {
		if _, err := from.WriteTo([]byte{0x80, 111, byte(i)}, to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if i%20 == 19 {
			time.Sleep(time.Millisecond) // so that no buffer of the kernel overflows
		}
	}
	buffer := make([]byte, 100)
	_ = to.SetReadDeadline(time.Now().Add(time.Second))
	for {
		size, _, err := to.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return came
		}
		if err != nil || size != 3 {
			t.Fatalf("%d bytes, %v", size, err)
		}
		came = append(came, int(buffer[2]))
	}
}

// TestImpairmentBySeed: the same packets meet with the same, out and in, and with something else by another seed.
func TestImpairmentBySeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64, outward bool) []int {
		i := NewImpairment(road.Weather{Loss: .2, Duplicate: .1, Seed: seed})
		defer i.Close()
		plain, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		bad := impairedSocket(t, i)
		if outward {
			return through(t, bad, plain)
		}
		return through(t, plain, bad)
	}
	for name, outward := range map[string]bool{"out": true, "in": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, again, other := run(7, outward), run(7, outward), run(9, outward)
			if !slices.Equal(first, again) {
				t.Errorf("the same seed does other things: %v and %v", first, again)
			}
			if slices.Equal(first, other) || len(first) < 120 || len(first) > 210 {
				t.Errorf("%d and %d of 200 came", len(first), len(other))
			}
		})
	}
}

// TestImpairedSocket: it can be interrupted and closed as any other, and what is closed says so.
func TestImpairedSocket(t *testing.T) {
	t.Parallel()
	i := NewImpairment(road.Weather{})
	defer i.Close()
	c := impairedSocket(t, i)
	read := make(chan error, 1)
	go func() {
		_, _, err := c.ReadFrom(make([]byte, 10))
		read <- err
	}()
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a deadline: %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	go func() {
		_, _, err := c.ReadFrom(make([]byte, 10))
		read <- err
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := c.WriteTo([]byte{1}, c.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
}

// sometime waits until something holds that no event tells.
func sometime(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there never is %s", what)
		}
	}
}

// TestImpairedCall: a call goes through its impairment, and only through that.
func TestImpairedCall(t *testing.T) {
	t.Parallel()
	const delay = 40 * time.Millisecond
	i := NewImpairment(road.Weather{Delay: delay, Loss: .1, Seed: 7})
	t.Cleanup(func() { _ = i.Close() })
	a, b := pair(t, func(caller, _ *Config) { caller.Impairment = i })
	a.call.Say("through it")
	b.awaitText("through it")
	a.awaitConnected()
	sometime(t, "a round trip", func() bool { return a.call.Stats().RTT != nil })
	if rtt := *a.call.Stats().RTT; rtt < 2*delay {
		t.Errorf("a round trip takes %v, less than there and back", rtt)
	}
	i.Become(road.Weather{Loss: 1})
	_, before := i.Counts()
	b.call.Say("into nothing")
	sometime(t, "a packet that is lost", func() bool { _, in := i.Counts(); return in.Lost > before.Lost })
	i.Become(road.Weather{})
	a.awaitText("into nothing")
}

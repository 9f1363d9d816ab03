//go:build linux

package turnclient

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// blackhole returns the address of a TCP server that drops SYNs, as a firewall does: its backlog is
// full.
func blackhole(t *testing.T) *net.TCPAddr {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}
	for range 16 {
		c, err := net.DialTimeout("tcp", at.String(), 300*time.Millisecond)
		if err != nil {
			return at // the backlog is full
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the backlog never fills")
	return nil
}

// A connection to a TURN server that does not answer ends at the timeout, and at once when the call
// ends.
func TestDialTimeout(t *testing.T) {
	at := blackhole(t).String()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := NewDialer(ctx, Config{DialContext: new(net.Dialer).DialContext})
	d.timeout = 100 * time.Millisecond
	guard := time.AfterFunc(30*time.Second, cancel) // without a timeout the kernel gives up much later
	defer guard.Stop()
	var timeout net.Error
	if _, err := d.Dial("tcp4", at); !errors.As(err, &timeout) || !timeout.Timeout() || ctx.Err() != nil {
		t.Errorf("Dial: %v, want a timeout", err)
	}
	d.timeout = time.Hour
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := d.Dial("tcp4", at); err == nil || ctx.Err() == nil {
		t.Errorf("Dial: %v, want an error after the end of the call", err)
	}
}

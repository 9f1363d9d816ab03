//go:build linux

package peer

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// mute is the address of a TCP server that does not answer: so many connections
// wait to be accepted that it drops further ones, as a firewall does.
func mute(t *testing.T) *net.TCPAddr {
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
			return at // it is full
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the server takes any number of connections")
	return nil
}

// A relay that does not answer by TCP is given up, at once when the call ends.
func TestATCPConnectionIsGivenUp(t *testing.T) {
	at := mute(t).String()
	dialing, stop := context.WithCancel(context.Background())
	defer stop()
	d := &turnsDialer{config: &Config{}, dialing: dialing, limit: 100 * time.Millisecond}
	guard := time.AfterFunc(30*time.Second, stop) // without a limit the kernel gives up, much later
	defer guard.Stop()
	var timeout net.Error
	if _, err := d.Dial("tcp4", at); !errors.As(err, &timeout) || !timeout.Timeout() || dialing.Err() != nil {
		t.Errorf("it ended with %v, want a timeout", err)
	}
	d.limit = time.Hour
	time.AfterFunc(100*time.Millisecond, stop)
	if _, err := d.Dial("tcp4", at); err == nil || dialing.Err() == nil {
		t.Errorf("it ended with %v, want the end of the call", err)
	}
}

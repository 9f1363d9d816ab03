// Package coturntest runs coturn, the TURN server that most others run, for tests.
package coturntest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// startTime is how long coturn may take to come up on a busy machine.
const startTime = 30 * time.Second

// Coturn is a running coturn.
type Coturn struct {
	// Address is where it listens, for UDP and TCP.
	Address netip.AddrPort
}

// Start runs coturn with a shared secret until the test ends. It listens at an address of this machine that is no loopback one:
// coturn refuses to relay to those.
func Start(t testing.TB, secret string, args ...string) *Coturn {
	t.Helper()
	return StartAt(t, exec.Command, netip.AddrPortFrom(LocalAddress(t), freePort(t)), secret, args...)
}

// StartAt is Start at an address of another network, on which command runs programs.
func StartAt(t testing.TB, command func(name string, args ...string) *exec.Cmd, at netip.AddrPort, secret string, args ...string) *Coturn {
	t.Helper()
	binary := Find(t, "turnserver")
	dir := t.TempDir()
	c := &Coturn{Address: at}
	host := at.Addr().String()
	args = append([]string{
		"-n", "-v", "-c", os.DevNull, "--listening-ip", host, "--relay-ip", host, "--listening-port", fmt.Sprint(c.Address.Port()),
		"--no-tls", "--no-dtls", "--no-cli", "--fingerprint", "--use-auth-secret", "--static-auth-secret", secret, "--realm", "parley",
		"--relay-threads", "1", "--userdb", filepath.Join(dir, "db"), "--pidfile", filepath.Join(dir, "pid"), "--log-file", "stdout", "--simple-log",
	}, args...)
	cmd := command(binary, args...)
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &log{up: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() { l.read(out) })
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("coturn:\n%s", l)
		}
	})
	select {
	case <-l.up:
	case <-time.After(startTime):
		t.Fatal("coturn does not come up")
	}
	if !l.has("UDP listener opened") {
		t.Fatal("coturn does not come up")
	}
	return c
}

// log keeps what coturn says.
type log struct {
	up chan struct{} // closed when it listens, or has ended

	mu   sync.Mutex // guards what follows
	text strings.Builder
}

func (l *log) read(r io.Reader) {
	once := sync.OnceFunc(func() { close(l.up) })
	defer once()
	s := bufio.NewScanner(r)
	for s.Scan() {
		l.mu.Lock()
		l.text.WriteString(s.Text() + "\n")
		l.mu.Unlock()
		// The last words are those of another thread. One thread more, and the first packets go to either, which answers 438.
		if l.has("UDP listener opened") && l.has("Total General servers") {
			once()
		}
	}
}

func (l *log) has(words string) bool { return strings.Contains(l.String(), words) }

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Find returns the path of a program of coturn's, or fails the test with what to install.
func Find(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("no %s on this machine; install it with: apt-get install coturn", program)
	}
	return path
}

// LocalAddress is an IPv4 address of this machine that is no loopback one.
func LocalAddress(t testing.TB) netip.Addr {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Fatal(errors.New("this machine has no IPv4 address but loopback; coturn needs one"))
	return netip.Addr{}
}

// freePort is one that neither TCP nor UDP uses at the moment.
func freePort(t testing.TB) uint16 {
	t.Helper()
	address := LocalAddress(t).String()
	for range 20 {
		l, err := net.Listen("tcp4", net.JoinHostPort(address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		at := l.Addr().String()
		p, err := net.ListenPacket("udp4", at)
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = p.Close()
		return netip.MustParseAddrPort(at).Port()
	}
	t.Fatal("no free port")
	return 0
}

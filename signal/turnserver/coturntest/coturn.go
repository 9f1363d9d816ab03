// Package coturntest runs coturn for tests.
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

// startTimeout bounds the start of coturn on a busy machine.
const startTimeout = 30 * time.Second

// Coturn is a running coturn process.
type Coturn struct {
	// Address is its listening address, for UDP and TCP.
	Address netip.AddrPort
}

// Start runs coturn with a shared secret until the test ends. It listens at an address of this
// machine that is not loopback: coturn refuses to relay to loopback addresses.
func Start(t testing.TB, secret string, args ...string) *Coturn {
	t.Helper()
	return StartAt(t, exec.Command, netip.AddrPortFrom(LocalAddress(t), freePort(t)), secret, args...)
}

// StartAt runs coturn like Start, with command and at an address, for example in a network
// namespace.
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
	case <-time.After(startTimeout):
		t.Fatal("coturn did not start")
	}
	if !l.has("UDP listener opened") {
		t.Fatal("coturn did not start")
	}
	return c
}

// log is the output of coturn.
type log struct {
	up chan struct{} // closed when coturn listens or has ended

	mu   sync.Mutex // guards text
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
		// The second line comes from another thread. Before it, the first packets may reach a
		// thread that answers 438 (Stale Nonce).
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

// Find returns the path of a program of coturn. It fails the test if it is not installed.
func Find(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("no %s on this machine; install it with: apt-get install coturn", program)
	}
	return path
}

// LocalAddress returns an IPv4 address of this machine that is not loopback.
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
	t.Fatal(errors.New("this machine has no IPv4 address other than loopback; coturn needs one"))
	return netip.Addr{}
}

// freePort returns a port that neither TCP nor UDP uses at the moment.
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

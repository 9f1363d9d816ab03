//go:build unix

package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// activate runs parley serve as systemd does that passes sockets, with its names of them.
func activate(t *testing.T, names string, sockets []interface{ File() (*os.File, error) }, args []string, env ...string) *e2etest.Process {
	t.Helper()
	binary, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary, "serve"}, args...)...)
	cmd.Env = append(os.Environ(), append(env, fmt.Sprintf("LISTEN_FDS=%d", len(sockets)), "LISTEN_FDNAMES="+names)...)
	for _, s := range sockets {
		f, err := s.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	return e2etest.Launch(t, cmd, append([]string{"serve"}, args...))
}

// TestSystemd checks that serve uses the sockets of systemd in place of its default address, and
// that it reports when it is ready, alive and stopping.
func TestSystemd(t *testing.T) {
	var sockets []interface{ File() (*os.File, error) }
	var addresses []string
	for range 2 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		sockets, addresses = append(sockets, l), append(addresses, l.Addr().String())
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	states := func(want string) {
		t.Helper()
		if err := manager.SetReadDeadline(time.Now().Add(e2etest.Patience)); err != nil {
			t.Fatal(err)
		}
		for pattern, b := regexp.MustCompile(want), make([]byte, 1<<10); ; {
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("no state %s: %v", want, err)
			}
			if pattern.Match(b[:n]) {
				return
			}
		}
	}
	p := activate(t, "parley-serve.socket:admin", sockets, []string{"--drain", "1s"}, "NOTIFY_SOCKET="+manager.LocalAddr().String(), "WATCHDOG_USEC=100000")
	states(`^READY=1\n`)
	for url, want := range map[string]string{"http://" + addresses[0] + "/": "<!doctype html>", "http://" + addresses[1] + "/readyz": "ready\n"} {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if body, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %v, %q", url, err, body)
		}
	}
	states(`^WATCHDOG=1\nSTATUS=\d+ connections, 0 calls$`)
	if strings.Contains(p.Out.String()+p.Err.String(), ":9090") {
		t.Errorf("the default address is used:\n%s%s", p.Out, p.Err)
	}
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	states(`^STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=11000000$`)
	p.Ends(t, 0)
}

// TestSystemdSockets checks that sockets that serve cannot use are refused.
func TestSystemdSockets(t *testing.T) {
	datagrams, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	challenges, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer challenges.Close()
	p := activate(t, "turn", []interface{ File() (*os.File, error) }{datagrams}, nil)
	p.Ends(t, 2)
	p.Says(t, `the socket "turn" of systemd is not a TCP socket`)
	p = activate(t, "acme-http", []interface{ File() (*os.File, error) }{challenges}, []string{"--listen", "127.0.0.1:0"})
	p.Ends(t, 2)
	p.Says(t, "the socket acme-http of systemd is of use with another option only")
}

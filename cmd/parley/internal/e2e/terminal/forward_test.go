package terminal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// forwarding runs both ends of a forwarded target, and returns where to connect.
func forwarding(t *testing.T, target string, listen ...string) (address string, office, home *e2etest.Process) {
	t.Helper()
	server := signaltest.Start(t, &server.Options{})
	office = e2etest.Start(t, "pipe", "--server", server, "--as", "office", "--connect", "tcp:"+target)
	office.Says(t, "waiting for calls")
	args := []string{"pipe", "office", "--server", server, "--as", "home"}
	for _, l := range listen {
		args = append(args, "--listen", l)
	}
	home = e2etest.Start(t, args...)
	home.Says(t, `connections to \S+ go to office`)
	return regexp.MustCompile(`connections to (\S+) go`).FindStringSubmatch(home.Err.String())[1], office, home
}

// A hundred connections at once, each of them with a request of its own and an
// answer that is larger than the window of a channel.
func TestForwardedTCPServesAnHTTPClient(t *testing.T) {
	const connections, size = 100, 300_000
	var together sync.WaitGroup
	together.Add(connections)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		together.Done()
		together.Wait() // all are open now
		w.Header().Set("Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
		_, _ = w.Write(bytes.Repeat(body[:1], size))
	}))
	defer web.Close()
	address, _, home := forwarding(t, web.Listener.Addr().String(), "tcp:127.0.0.1:0")
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections}, Timeout: 2 * e2etest.Patience}
	defer client.CloseIdleConnections()
	var work sync.WaitGroup
	for i := range connections {
		work.Go(func() {
			body := bytes.Repeat([]byte{byte(i)}, 50_000+i)
			answer, err := client.Post("http://"+address+"/", "text/plain", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			got, err := io.ReadAll(answer.Body)
			if err != nil || !bytes.Equal(got, bytes.Repeat(body[:1], size)) {
				t.Errorf("connection %d: %d bytes came back, %v", i, len(got), err)
			}
			if want := fmt.Sprintf("%x", sha256.Sum256(body)); answer.Header.Get("Sum") != want {
				t.Errorf("connection %d: the server got other bytes", i)
			}
		})
	}
	work.Wait()
	if err := home.Cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	home.Ends(t, 130)
}

// One connection that nobody reads does not stop the others.
func TestAForwardedConnectionThatIsNotReadStopsNoOther(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	defer func() { _ = l.Close(); work.Wait() }()
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				kind := make([]byte, 1)
				if _, err := io.ReadFull(c, kind); err != nil {
					return
				}
				if kind[0] == 'f' { // a flood that nobody reads
					for {
						if _, err := c.Write(make([]byte, 1<<16)); err != nil {
							return
						}
					}
				}
				_, _ = io.Copy(c, c)
			})
		}
	})
	address, _, home := forwarding(t, l.Addr().String(), "tcp:127.0.0.1:0")
	flood, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Close()
	if _, err := flood.Write([]byte("f")); err != nil {
		t.Fatal(err)
	}
	sent := strings.Repeat("x", 3<<20) // several windows
	echoed, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer echoed.Close()
	_ = echoed.SetDeadline(time.Now().Add(e2etest.Patience))
	work.Go(func() {
		_, _ = io.WriteString(echoed, "e"+sent)
		_ = echoed.(*net.TCPConn).CloseWrite()
	})
	if got, err := io.ReadAll(echoed); string(got) != sent || err != nil {
		t.Errorf("%d bytes came back, want %d; %v", len(got), len(sent), err)
	}
	if err := home.Cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	home.Ends(t, 130)
}

func TestOnlyNamedTargetsAreConnected(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	address, office, home := forwarding(t, "127.0.0.1:9", "tcp:127.0.0.1:0,tcp:"+web.Listener.Addr().String())
	c, err := net.Dial("tcp", address)
	switch {
	case errors.Is(err, syscall.ECONNRESET): // home was faster than Dial
	case err != nil:
		t.Fatal(err)
	default:
		defer c.Close()
		if n, err := io.Copy(io.Discard, c); n > 0 {
			t.Errorf("%d bytes came from a target that nobody named, %v", n, err)
		}
	}
	home.Says(t, "office did not connect us: no --connect of the peer names that target")
	office.Says(t, "home wants to be connected to "+web.Listener.Addr().String())
}

func TestATargetThatIsDownIsSaid(t *testing.T) {
	address, office, home := forwarding(t, "127.0.0.1:1", "tcp:127.0.0.1:0")
	if c, err := net.Dial("tcp", address); err == nil {
		defer c.Close()
		_, _ = io.Copy(io.Discard, c)
	} else if !errors.Is(err, syscall.ECONNRESET) { // it may be over before the kernel has reported that it is up
		t.Fatal(err)
	}
	home.Says(t, "office did not connect us: 127.0.0.1:1 cannot be reached")
	office.Says(t, "home was not connected: .*refused")
}

//go:build unix

package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/signal/server"
)

// TestFewFiles runs a server in a process that may open 64 files, and opens more sockets to it than
// that: those who are in a call notice nothing, and when the others go, people can sign in again.
func TestFewFiles(t *testing.T) {
	if os.Getenv("PARLEY_FEW_FILES") != "" {
		serveFewFiles(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFewFiles$")
	cmd.Env = append(os.Environ(), "PARLEY_FEW_FILES=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	address := ""
	for address == "" && lines.Scan() {
		address, _ = strings.CutPrefix(lines.Text(), "at ")
	}
	rest := make(chan string, 1)
	go func() {
		var all strings.Builder
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
		}
		rest <- all.String()
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		text := <-rest
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v\n%s", err, text)
		}
		if !strings.Contains(text, "too many open files") {
			t.Errorf("the server was never short of files:\n%s", text)
		}
	})
	crowd(t, address)
}

// serveFewFiles is the process that has few files.
func serveFewFiles(t *testing.T) {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("at %s\n", l.Addr())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test is over
		cancel()
	}()
	shortage := &noticing{Listener: l}
	server := server.New(&server.Options{Limits: server.Limits{HeaderWait: time.Minute}})
	if err := server.Run(ctx, shortage); err != nil {
		t.Fatal(err)
	}
	fmt.Println(shortage.last)
}

// noticing is a listener that keeps the last error that is not the end.
type noticing struct {
	net.Listener
	last error
}

func (n *noticing) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil && !strings.Contains(err.Error(), "closed") {
		n.last = err
	}
	return c, err
}

func crowd(t *testing.T, address string) {
	alice, bob := dialRaw(t, "ws://"+address), dialRaw(t, "ws://"+address)
	defer alice.Close()
	defer bob.Close()
	ask(t, alice, map[string]any{"type": "login", "name": "alice"}, map[string]any{"type": "login", "success": true})
	ask(t, bob, map[string]any{"type": "login", "name": "bob"}, map[string]any{"type": "login", "success": true})
	var sockets []net.Conn
	for range 150 {
		c, err := net.Dial("tcp", address) // the kernel takes more than the process
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, c)
	}
	// One of the last is not served, and so they are more than fit.
	late := sockets[len(sockets)-1]
	fmt.Fprintf(late, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = late.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := late.Read(make([]byte, 1)); err == nil {
		t.Error("150 sockets fit into 64 files")
	}
	offer := map[string]any{"type": "offer", "sdp": "v=0"}
	if err := alice.WriteJSON(map[string]any{"type": "offer", "offer": offer, "name": "bob"}); err != nil {
		t.Fatal(err)
	}
	_ = bob.SetReadDeadline(time.Now().Add(patience))
	if err := means(bob, `{"type":"offer","offer":{"type":"offer","sdp":"v=0"},"name":"alice"}`); err != nil {
		t.Error(err)
	}
	for _, c := range sockets {
		_ = c.Close()
	}
	play(t, "ws://"+address, signIn("carol"))
}

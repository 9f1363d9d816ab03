//go:build linux

package server

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// A server whose log goes to a full disk serves all the same.
func TestFullLog(t *testing.T) {
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if _, err := full.WriteString("x"); err == nil {
		t.Fatal("there is room in /dev/full")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(path, "serve", "--listen", address, "--log", "json", "-v")
	cmd.Stdout, cmd.Stderr = full, full
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(e2etest.Patience); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not listen")
		}
	}
	bob := e2etest.Start(t, "answer", "--server", "ws://"+address, "--as", "bob", "--once", "--output", "ndjson")
	bob.Says(t, `"event":"login"`)
	e2etest.Start(t, "call", "bob", "--server", "ws://"+address, "--as", "alice", "--expect", "connected").Ends(t, 0)
	bob.Ends(t, 0)
}

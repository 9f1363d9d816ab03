package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"parley/signal/signaltest/deployment"
)

// server is a server in a process of its own.
type server struct {
	url string
	cmd *exec.Cmd
}

// build builds the command with this build tag, or with none, without cgo.
func build(dir, name, tag string) (binary string, err error) {
	binary = filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-tags", tag, "-o", binary, "parley/cmd/parley")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return binary, nil
}

func startNode() (*server, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("the folder of the original servers is unknown: run without -trimpath")
	}
	dir := filepath.Join(filepath.Dir(file), "..", "..", "testdata", "original")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "ws")); err != nil {
		return nil, fmt.Errorf("the original server has no module: run npm ci in signal/testdata/original: %w", err)
	}
	cmd := exec.Command("node", filepath.Join(dir, "call.js"), "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting Node (is it installed?): %w", err)
	}
	port := 0
	if _, err := fmt.Fscanf(bufio.NewReader(out), "listening on %d\n", &port); err != nil {
		return nil, fmt.Errorf("the original server did not start: %w", err)
	}
	return &server{fmt.Sprintf("ws://127.0.0.1:%d", port), cmd}, nil
}

func startParley(binary string, secure bool) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	_ = l.Close()
	scheme, args := "ws://", []string{"serve", "--limits", "off", "--listen", address}
	if secure {
		scheme, args = "wss://", append(args, "--tls-self-signed")
	}
	cmd := exec.Command(binary, args...)
	said := &strings.Builder{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	s := &server{scheme + address, cmd}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return s, nil
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, fmt.Errorf("%s serve did not listen: %w\n%s", binary, err, said)
		}
	}
}

func (s *server) stop() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// cpu is the CPU time of the process so far.
func (s *server) cpu() (time.Duration, error) { return deployment.CPU(s.cmd.Process.Pid) }

// memory is what the process has in memory, in KiB.
func (s *server) memory() (float64, error) { return deployment.Memory(s.cmd.Process.Pid) }

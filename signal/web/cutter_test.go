package web_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A cutter passes TCP connections on to a server, keeps what their clients send, and cuts them.
type cutter struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	sent  bytes.Buffer
	conns map[net.Conn]bool // of both directions
	down  bool              // new connections are cut at once
}

// newCutter starts a cutter in front of the server at a URL, and returns it with its own URL.
func newCutter(t *testing.T, at string) (*cutter, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, target: strings.TrimPrefix(at, "http://"), conns: map[net.Conn]bool{}}
	c.running.Go(c.run)
	t.Cleanup(func() {
		_ = l.Close()
		c.setDown(true)
		c.running.Wait()
	})
	return c, "http://" + l.Addr().String()
}

func (c *cutter) run() {
	for {
		in, err := c.listener.Accept()
		if err != nil {
			return // closed
		}
		out, err := net.Dial("tcp", c.target)
		if err != nil || !c.add(in, out) {
			_ = in.Close()
			continue
		}
		c.running.Go(func() { c.pass(out, io.TeeReader(in, c), in, out) })
		c.running.Go(func() { c.pass(in, out, in, out) })
	}
}

// Write keeps what clients send.
func (c *cutter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent.Write(p)
}

// capture returns what the clients have sent so far.
func (c *cutter) capture() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent.String()
}

// forget drops the capture.
func (c *cutter) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent.Reset()
}

func (c *cutter) add(in, out net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		_ = out.Close()
		return false
	}
	c.conns[in], c.conns[out] = true, true
	return true
}

func (c *cutter) pass(to io.Writer, from io.Reader, in, out net.Conn) {
	_, _ = io.Copy(to, from) // ends with one of the connections
	_, _ = in.Close(), out.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, in)
	delete(c.conns, out)
}

// cut resets all connections, without a close frame.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// setDown cuts all connections, and each new one while down is true.
func (c *cutter) setDown(down bool) {
	c.mu.Lock()
	c.down = down
	c.mu.Unlock()
	if down {
		c.cut()
	}
}

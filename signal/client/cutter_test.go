package client_test

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
)

// cutter is a network between clients and a server that breaks, again and again, after any number
// of bytes.
type cutter struct {
	listener net.Listener
	server   string
	work     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	random *rand.Rand
	mean   float64 // bytes in one direction until a cut; 0: none
	refuse bool
	cuts   int
	open   map[net.Conn]struct{}
}

func newCutter(t *testing.T, server string, seed uint64) (c *cutter, url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c = &cutter{listener: l, server: strings.TrimPrefix(server, "ws://"), random: rand.New(rand.NewPCG(seed, seed)), open: make(map[net.Conn]struct{})}
	c.work.Go(c.accept)
	t.Cleanup(func() {
		_ = l.Close()
		c.cutAll()
		c.work.Wait()
	})
	return c, "ws://" + l.Addr().String()
}

func (c *cutter) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.work.Go(func() { c.serve(conn) })
	}
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	if c.refusing() {
		return
	}
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	c.add(client)
	defer c.remove(client)
	up, down := c.budgets()
	var both sync.WaitGroup
	for _, way := range []struct {
		to, from net.Conn
		budget   int64
	}{{server, client, up}, {client, server, down}} {
		both.Go(func() {
			if way.budget > 0 {
				_, _ = io.CopyN(way.to, way.from, way.budget)
			} else {
				_, _ = io.Copy(way.to, way.from)
			}
			c.cut(client)
			c.cut(server)
		})
	}
	both.Wait()
}

// budgets are the bytes that a connection lives for, in either direction.
func (c *cutter) budgets() (up, down int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mean == 0 {
		return 0, 0
	}
	c.cuts++
	return 1 + int64(c.random.ExpFloat64()*c.mean), 1 + int64(c.random.ExpFloat64()*c.mean)
}

// cut ends a connection, with or without a reset.
func (c *cutter) cut(conn net.Conn) {
	c.mu.Lock()
	reset := c.random.IntN(2) == 0
	c.mu.Unlock()
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (c *cutter) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = struct{}{}
}

func (c *cutter) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

func (c *cutter) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Close()
	}
}

func (c *cutter) refusing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refuse
}

func (c *cutter) set(mean float64, refuse bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mean, c.refuse = mean, refuse
}

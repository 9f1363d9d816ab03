// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/pion/logging"
)

// burstConn is a connection that counts the packets written, in bursts and beside them.
type burstConn struct {
	net.Conn
	logging.LoggerFactory

	mu                       sync.Mutex
	inBurst                  bool
	unbalanced               bool
	most, now, beside, fails int
}

func (c *burstConn) BeginBurst() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unbalanced = c.unbalanced || c.inBurst
	c.inBurst, c.now = true, 0
}

func (c *burstConn) EndBurst() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unbalanced = c.unbalanced || !c.inBurst || c.now < 2 && c.fails == 0
	c.inBurst, c.most = false, max(c.most, c.now)
}

func (c *burstConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.inBurst {
		c.now++
	} else {
		c.beside++
	}
	fail := c.inBurst && c.fails > 0
	c.mu.Unlock()
	if fail {
		return 0, errors.New("no way out")
	}

	return c.Conn.Write(b)
}

func (c *burstConn) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unbalanced || c.inBurst || c.most < 2 || c.beside == 0 {
		t.Errorf("bursts: unbalanced %t, in one %t, longest %d packets, %d packets beside", c.unbalanced, c.inBurst, c.most, c.beside)
	}
}

// burstPair returns an association over c, and one that reads.
func burstPair(t *testing.T, fails int) (*burstConn, *Stream) {
	t.Helper()
	var conns [2]net.Conn
	for i := range conns {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = &connectedUDP{UDPConn: conn}
	}
	conns[0].(*connectedUDP).to, conns[1].(*connectedUDP).to = conns[1].LocalAddr(), conns[0].LocalAddr()
	c := &burstConn{Conn: conns[0], LoggerFactory: logging.NewDefaultLoggerFactory()}
	type made struct {
		*Association
		error
	}
	server := make(chan made, 1)
	go func() {
		a, err := Server(Config{NetConn: conns[1], LoggerFactory: c.LoggerFactory})
		server <- made{a, err}
	}()
	client, err := Client(Config{NetConn: c, LoggerFactory: c})
	if err != nil {
		t.Fatal(err)
	}
	other := <-server
	if other.error != nil {
		t.Fatal(other.error)
	}
	t.Cleanup(func() { _ = client.Close(); _ = other.Close() })
	stream, err := client.OpenStream(1, PayloadTypeWebRTCBinary)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.fails = fails
	c.mu.Unlock()
	if _, err := stream.Write(make([]byte, 60_000)); err != nil {
		t.Fatal(err)
	}
	if fails > 0 {
		return c, stream
	}
	received, err := other.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := received.Read(make([]byte, 1<<16)); n != 60_000 || err != nil {
		t.Fatalf("Read: %d, %v", n, err)
	}

	return c, stream
}

type connectedUDP struct {
	*net.UDPConn
	to net.Addr
}

func (c *connectedUDP) Write(b []byte) (int, error) { return c.WriteTo(b, c.to) }

func TestBursts(t *testing.T) {
	c, _ := burstPair(t, 0)
	c.check(t)
}

// A burst ends also when a write fails.
func TestBurstEndsOnFailure(t *testing.T) {
	c, stream := burstPair(t, 1)
	if _, err := stream.Read(make([]byte, 10)); err == nil {
		t.Error("the association goes on without a way out")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inBurst || c.unbalanced {
		t.Errorf("in a burst %t, unbalanced %t", c.inBurst, c.unbalanced)
	}
}

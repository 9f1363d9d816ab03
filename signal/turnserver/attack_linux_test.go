package turnserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/turn/v5"
	"golang.org/x/sync/errgroup"
)

// The attacker of these tests is at 127.0.0.1, the honest client at honestAddr.
const honestAddr = "127.0.0.2"

// honestUDP returns a TURN client over UDP from honestAddr.
func (r *testServer) honestUDP(t *testing.T) *turn.Client {
	t.Helper()
	conn, err := net.ListenPacket("udp4", honestAddr+":0")
	if err != nil {
		t.Fatal(err)
	}
	user, password := credentials().Make("honest")
	return client(t, r.udp, conn, user, password)
}

// honestTCP returns a TURN client over TCP from honestAddr.
func (r *testServer) honestTCP(t *testing.T) *turn.Client {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(honestAddr + ":0"))}
	conn, err := d.Dial("tcp4", r.tcp)
	if err != nil {
		t.Fatal(err)
	}
	user, password := credentials().Make("honest")
	return client(t, r.tcp, turn.NewSTUNConn(conn), user, password)
}

func checkAllocates(t *testing.T, c *turn.Client) net.PacketConn {
	t.Helper()
	conn, err := c.Allocate()
	if err != nil {
		t.Fatalf("honest client: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Many names of one address do not use up the allocations.
func TestManyNamesFromOneAddress(t *testing.T) {
	const total = 140
	r := start(t, Options{TotalQuota: total, UserQuota: 4})
	refused := ""
	for i := 0; i < total && refused == ""; i++ {
		user, password := credentials().Make(fmt.Sprintf("x%d", i))
		conn, err := r.udpClient(t, user, password).Allocate()
		if err != nil {
			refused = err.Error()
			break
		}
		defer conn.Close()
	}
	checkAllocates(t, r.honestUDP(t))
	if !strings.Contains(refused, "486") {
		t.Errorf("allocations of the attacker: %q, want a refusal with 486", refused)
	}
}

// 2,000 connections from one address do not use up the streams.
func TestManyStreamsFromOneAddress(t *testing.T) {
	r := start(t, Options{})
	for i := range 2000 {
		c := dialed(t, r.tcp, nil)
		if i%2 == 0 { // a first message, then silence
			_, _ = c.Write(message(1, nil))
		}
	}
	passesBothWays(t, checkAllocates(t, r.honestTCP(t)), r.allocate(t, "bob"))
	if n := r.Stats().Streams; n > 70 {
		t.Errorf("%d streams are open", n)
	}
}

// Many honest clients behind one address, who come at once, are all served.
func TestManyClientsBehindOneAddress(t *testing.T) {
	r := start(t, Options{})
	var group errgroup.Group
	for i := range 50 {
		user, password := credentials().Make(fmt.Sprintf("user%d", i))
		clients := []*turn.Client{
			r.udpClient(t, user, password), client(t, r.tcp, turn.NewSTUNConn(dialed(t, r.tcp, nil)), user, password),
		}
		for _, c := range clients {
			group.Go(func() error {
				conn, err := c.Allocate()
				if err != nil {
					return fmt.Errorf("user%d: %w", i, err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if n := r.Stats().Refused; n[ReasonRate]+n[ReasonAddress]+n[ReasonFull] != 0 {
		t.Errorf("refusals: %v", n)
	}
}

// A flood of requests without credentials gets few responses, which the owner of a forged source
// address would get; an allocation of that address and other addresses are not affected.
func TestRequestFlood(t *testing.T) {
	for name, kind := range map[string]uint16{"binding": 0x001, "allocate": 0x003} {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{})
			a, b := r.allocate(t, "alice"), r.allocate(t, "bob")
			attacker := socket(t)
			server, err := net.ResolveUDPAddr("udp4", r.udp)
			if err != nil {
				t.Fatal(err)
			}
			const sent = 5000
			began, responses, buf := time.Now(), 0, make([]byte, 2000)
			for i := range sent {
				if _, err := attacker.WriteTo(message(kind, nil), server); err != nil {
					t.Fatal(err)
				}
				if i%50 != 49 {
					continue
				}
				for { // one response for each request, if there is any
					_ = attacker.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
					if _, _, err := attacker.ReadFrom(buf); err != nil {
						break
					}
					responses++
				}
			}
			most := 1280 + 128*int(time.Since(began).Seconds()+1)
			if responses > most || responses < 500 {
				t.Errorf("%d responses to %d requests, want 500 to %d", responses, sent, most)
			}
			passesBothWays(t, a, b)
			checkAllocates(t, r.honestUDP(t))
		})
	}
}

// An allocation may not hold any number of permissions, each of which costs memory.
func TestManyPermissions(t *testing.T) {
	r := start(t, Options{AllowedPeers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	user, password := credentials().Make("alice")
	c := r.udpClient(t, user, password)
	defer checkAllocates(t, c).Close()
	var refused error
	for i := 0; i < 20 && refused == nil; i++ {
		var peers []net.Addr
		for j := range 50 {
			peers = append(peers, &net.UDPAddr{IP: net.IPv4(10, 0, byte(i), byte(j)), Port: 9})
		}
		refused = c.CreatePermission(peers...)
	}
	if refused == nil || !strings.Contains(refused.Error(), "403") {
		t.Errorf("1000 permissions: %v, want 403", refused)
	}
	if err := c.CreatePermission(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9}); err != nil {
		t.Errorf("refresh of a permission: %v", err)
	}
	if r.Stats().Refused[ReasonQuota] == 0 {
		t.Error("the refusal is not counted")
	}
}

// Nor may it hold any number of channels: all are searched for each packet of a peer.
func TestManyChannels(t *testing.T) {
	r := start(t, Options{AllowedPeers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	conn := r.allocate(t, "alice")
	port := 0
	until(t, func() bool { // the client binds channels in the background
		if port++; port < 1000 {
			_, err := conn.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: port})
			return err != nil || r.Stats().Refused[ReasonQuota] > 0
		}
		return r.Stats().Refused[ReasonQuota] > 0
	})
	if port < maxChannels {
		t.Errorf("refused after %d channels, want %d", port, maxChannels)
	}
}

// A client without an allocation cannot keep a TCP connection, whatever it sends.
func TestStreamsWithoutAllocationEnd(t *testing.T) {
	server, trust := certificate(t)
	r := start(t, Options{TLS: server, StreamTimeout: 300 * time.Millisecond})
	for name, first := range map[string][]byte{
		"silent": nil, "one message": message(1, nil), "half a message": message(1, nil)[:10], "allocate": message(3, nil),
	} {
		for _, config := range []string{"tcp", "tls"} {
			t.Run(name+" "+config, func(t *testing.T) {
				t.Parallel()
				c := dialed(t, r.tcp, nil)
				if config == "tls" {
					c = dialed(t, r.tcp, trust)
				}
				if _, err := c.Write(first); err != nil {
					t.Fatal(err)
				}
				checkEnds(t, c)
			})
		}
	}
	t.Run("many messages", func(t *testing.T) {
		t.Parallel()
		c := dialed(t, r.tcp, nil)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					_, _ = c.Write(message(1, nil))
				}
			}
		}()
		checkEnds(t, c)
		close(stop)
		<-stopped
	})
}

// checkEnds waits until the server closes a connection.
func checkEnds(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(testTimeout))
	_, err := io.Copy(io.Discard, c)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the server did not close the connection")
	}
}

// A connection with an allocation stays; it ends after the allocation.
func TestStreamWithAllocationStays(t *testing.T) {
	r := start(t, Options{StreamTimeout: 300 * time.Millisecond})
	conn := checkAllocates(t, r.honestTCP(t))
	later := dialed(t, r.tcp, nil)
	checkEnds(t, later) // opened later, so the time of the first is over
	passesBothWays(t, conn, r.allocate(t, "bob"))
	if n := r.Stats().Streams; n != 1 {
		t.Errorf("%d streams, want 1", n)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return r.Stats().Streams == 0 })
}

// Requests without an allocation are limited over TCP too.
func TestRequestFloodOverTCP(t *testing.T) {
	r := start(t, Options{RequestRate: 10})
	c := dialed(t, r.tcp, nil)
	go func() {
		for range 1000 {
			if _, err := c.Write(message(1, nil)); err != nil {
				return
			}
		}
	}()
	_ = c.SetReadDeadline(time.Now().Add(testTimeout))
	n, err := io.Copy(io.Discard, c)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() || n > 200*32 {
		t.Errorf("%d bytes of responses, then %v; want about 100 responses, then the end", n, err)
	}
	if r.Stats().Refused[ReasonRate] == 0 {
		t.Error("the refusal is not counted")
	}
	checkAllocates(t, r.honestTCP(t))
}

// When there are as many streams as may be, the oldest one without an allocation makes room.
func TestOldestStreamMakesRoom(t *testing.T) {
	r := start(t, Options{MaxStreams: 2})
	conn := checkAllocates(t, r.honestTCP(t))
	oldest := dialed(t, r.tcp, nil)
	until(t, func() bool { return r.Stats().Streams == 2 })
	third := dialed(t, r.tcp, nil)
	checkEnds(t, oldest)
	if r.Stats().Refused[ReasonFull] != 1 {
		t.Error("the refusal is not counted")
	}
	if _, err := third.Write(message(1, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := readFrame(bufio.NewReaderSize(third, frameBuffer)); err != nil {
		t.Errorf("no response to a binding request: %v", err)
	}
	passesBothWays(t, conn, r.allocate(t, "bob"))

	// With allocations alone there is no room.
	user, password := credentials().Make("carol")
	_ = checkAllocates(t, client(t, r.tcp, turn.NewSTUNConn(third), user, password))
	checkEnds(t, dialed(t, r.tcp, nil))
}

func TestStreamsPerAddress(t *testing.T) {
	r := start(t, Options{StreamsPerAddress: 2})
	first := dialed(t, r.tcp, nil)
	until(t, func() bool { return r.Stats().Streams == 1 })
	user, password := credentials().Make("alice")
	_ = checkAllocates(t, client(t, r.tcp, turn.NewSTUNConn(dialed(t, r.tcp, nil)), user, password))
	_ = dialed(t, r.tcp, nil)
	until(t, func() bool { return r.Stats().Streams == 3 }) // one has an allocation
	checkEnds(t, dialed(t, r.tcp, nil))
	if n := r.Stats().Refused[ReasonAddress]; n != 1 {
		t.Errorf("%d refusals are counted, want 1", n)
	}
	_ = first.Close()
	until(t, func() bool { return r.Stats().Streams == 2 })
	_ = dialed(t, r.tcp, nil)
	until(t, func() bool { return r.Stats().Streams == 3 })
}

// A client that uses one source port for two addresses of the server gets one connection: clients
// are distinguished by their address. Run still ends.
func TestOneSourcePortForTwoServerAddresses(t *testing.T) {
	server, err := NewServer(Options{Credentials: credentials(), Addresses: []Address{{Bind: netip.MustParseAddr("127.0.0.1")}}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, nil, []net.Listener{listener}) }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	}}
	var first, second net.Conn
	for second == nil { // until the port of the first connection is free on the second address
		d.LocalAddr = nil
		if first, err = d.Dial("tcp4", "127.0.0.1:"+port); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return server.Stats().Streams == 1 })
		d.LocalAddr = first.LocalAddr()
		second, err = d.Dial("tcp4", honestAddr+":"+port)
		if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
		if second == nil {
			_ = first.Close()
			until(t, func() bool { return server.Stats().Streams == 0 })
		}
	}
	defer first.Close()
	defer second.Close()
	checkEnds(t, second)
	if _, err := first.Write(message(1, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := readFrame(bufio.NewReaderSize(first, frameBuffer)); err != nil {
		t.Errorf("no response on the first connection: %v", err)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(testTimeout / 4):
		t.Error("Run does not return")
	}
}

package turnserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/turn/v5"
)

// testTimeout bounds the wait for an event.
const testTimeout = 60 * time.Second

const secret = "a secret of the test"

// testServer is a running server with one UDP and one TCP (TLS) socket on loopback.
type testServer struct {
	*Server
	udp, tcp string
	stop     func() // ends Run and waits for it
}

func start(t *testing.T, opts Options) *testServer {
	t.Helper()
	if opts.Credentials.Secret == "" {
		opts.Credentials.Secret = secret
	}
	if opts.Addresses == nil {
		opts.Addresses = []Address{{Bind: netip.MustParseAddr("127.0.0.1")}}
	}
	server, err := NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, []net.PacketConn{packets}, []net.Listener{listener}) }()
	stopped := false
	r := &testServer{Server: server, udp: packets.LocalAddr().String(), tcp: listener.Addr().String()}
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(testTimeout):
			t.Error("Run does not return")
		}
		if s := server.Stats(); s.Allocations != 0 || s.Streams != 0 {
			t.Errorf("after Run: %d allocations and %d streams are left", s.Allocations, s.Streams)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// credentials makes credentials with the secret of the tests.
func credentials() Credentials { return Credentials{Secret: secret} }

// client returns a TURN client that is closed with the test.
func client(t *testing.T, server string, conn net.PacketConn, user, password string) *turn.Client {
	t.Helper()
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server, TURNServerAddr: server, Conn: conn, Username: user, Password: password, Realm: "parley",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = conn.Close()
	})
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *testServer) udpClient(t *testing.T, user, password string) *turn.Client {
	t.Helper()
	return client(t, r.udp, socket(t), user, password)
}

func socket(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// allocate opens an allocation of a user over UDP.
func (r *testServer) allocate(t *testing.T, name string) net.PacketConn {
	t.Helper()
	user, password := credentials().Make(name)
	conn, err := r.udpClient(t, user, password).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// passes sends packets from one allocation to another until one arrives (UDP may lose some), and
// checks its source address.
func passes(t *testing.T, from, to net.PacketConn, target net.Addr, source string) {
	t.Helper()
	deadline := time.Now().Add(testTimeout)
	buf := make([]byte, 2000)
	for time.Now().Before(deadline) {
		if _, err := from.WriteTo([]byte("hello"), target); err != nil {
			t.Fatal(err)
		}
		_ = to.SetReadDeadline(time.Now().Add(time.Second))
		n, addr, err := to.ReadFrom(buf)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) == "open" {
			continue
		}
		if string(buf[:n]) != "hello" || addr.String() != source {
			t.Fatalf("%q came from %s, want hello from %s", buf[:n], addr, source)
		}
		return
	}
	t.Fatalf("no packet from %s arrived", source)
}

// certificate returns configurations of a server with a certificate for 127.0.0.1 and of a client
// that trusts it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

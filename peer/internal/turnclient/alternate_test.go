package turnclient

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/netaddr"
)

// allocateRequest returns an Allocate request, signed if it has a nonce.
func allocateRequest(nonce string) *stun.Message {
	setters := []stun.Setter{stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)}
	if nonce != "" {
		setters = append(setters, stun.NewUsername("alice"), stun.NewRealm("parley"), stun.NewNonce(nonce), stun.NewLongTermIntegrity("alice", "parley", "secret"))
	}
	return stun.MustBuild(append(setters, stun.Fingerprint)...)
}

// response returns the response of a class to an Allocate request.
func response(request *stun.Message, class stun.MessageClass, with ...stun.Setter) []byte {
	setters := []stun.Setter{stun.NewTransactionIDSetter(request.TransactionID), stun.NewType(stun.MethodAllocate, class)}
	return stun.MustBuild(append(setters, with...)...).Raw
}

// tryAlternate returns the attributes of a Try Alternate response.
func tryAlternate(to netip.AddrPort) []stun.Setter {
	return []stun.Setter{stun.CodeTryAlternate, &stun.AlternateServer{IP: to.Addr().AsSlice(), Port: int(to.Port())}}
}

func listenLoopback(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	return conn
}

// receive returns the next STUN message of a socket.
func receive(t *testing.T, conn net.PacketConn) (*stun.Message, net.Addr) {
	t.Helper()
	buffer := make([]byte, 1500)
	n, from, err := conn.ReadFrom(buffer)
	m := &stun.Message{Raw: buffer[:n]}
	if err == nil {
		err = m.Decode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return m, from
}

// The alternate server has the first server's address for the client. If the first server
// authenticated the client before it redirected it, the request is signed with the nonce of the
// alternate server.
func TestAlternateServerOverUDP(t *testing.T) {
	first, alternate, local := listenLoopback(t), listenLoopback(t), listenLoopback(t)
	socket := newPacketConn(t.Context(), local, func(string) []string { return []string{"other", "secret"} })
	request := allocateRequest("first")
	if _, err := socket.WriteTo(request.Raw, first.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	received := make(chan *stun.Message, 1)
	from := make(chan net.Addr, 1)
	go func() {
		buffer := make([]byte, 1500)
		n, a, err := socket.ReadFrom(buffer)
		m := &stun.Message{Raw: buffer[:n]}
		if err != nil || m.Decode() != nil {
			t.Errorf("read: %v", err)
		}
		received <- m
		from <- a
	}()
	_, client := receive(t, first)
	for range 2 { // the request was retransmitted
		_, _ = first.WriteTo(response(request, stun.ClassErrorResponse, tryAlternate(netaddr.AddrPort(alternate.LocalAddr()))...), client)
	}
	if m, _ := receive(t, alternate); m.TransactionID != request.TransactionID {
		t.Errorf("the alternate server received %v, want the request", m)
	}
	_, _ = alternate.WriteTo(response(request, stun.ClassErrorResponse, stun.CodeStaleNonce, stun.NewRealm("parley"), stun.NewNonce("second")), client)
	m, _ := receive(t, alternate)
	var nonce stun.Nonce
	if err := m.Check(stun.NewLongTermIntegrity("alice", "parley", "secret"), stun.Fingerprint); err != nil || nonce.GetFrom(m) != nil || string(nonce) != "second" {
		t.Errorf("request with nonce %q: %v", nonce, err)
	}
	_, _ = alternate.WriteTo(response(request, stun.ClassSuccessResponse), client)
	if m := <-received; m.Type.Class != stun.ClassSuccessResponse {
		t.Errorf("the client received %v", m)
	}
	if a := <-from; a.String() != first.LocalAddr().String() {
		t.Errorf("it came from %v, want the first server", a)
	}
	indication := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication))
	if _, err := socket.WriteTo(indication.Raw, first.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if m, _ := receive(t, alternate); m.TransactionID != indication.TransactionID {
		t.Errorf("the alternate server received %v, want the indication", m)
	}
}

func TestAlternateServerIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		server, alternate string
		want              bool
	}{
		"other port":            {"192.0.2.1:3478", "192.0.2.1:3479", true},
		"private":               {"192.0.2.1:3478", "10.0.0.1:3478", true},
		"IPv6":                  {"[2001:db8::1]:3478", "[2001:db8::2]:3478", true},
		"loopback of loopback":  {"127.0.0.1:3478", "127.0.0.2:3478", true},
		"loopback":              {"192.0.2.1:3478", "127.0.0.1:3478", false},
		"IPv6 loopback":         {"[2001:db8::1]:3478", "[::1]:3478", false},
		"unspecified":           {"192.0.2.1:3478", "0.0.0.0:3478", false},
		"multicast":             {"192.0.2.1:3478", "224.0.0.1:3478", false},
		"metadata service":      {"192.0.2.1:3478", "169.254.169.254:80", false},
		"other family":          {"192.0.2.1:3478", "[2001:db8::1]:3478", false},
		"port 0":                {"192.0.2.1:3478", "192.0.2.2:0", false},
		"itself":                {"192.0.2.1:3478", "192.0.2.1:3478", false},
		"IPv4-mapped loopback":  {"192.0.2.1:3478", "[::ffff:127.0.0.1]:3478", false},
		"IPv4-mapped multicast": {"192.0.2.1:3478", "[::ffff:224.0.0.1]:3478", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &packetConn{redirect: func(net.Addr, netip.AddrPort, string) error { return nil }}
			m := stun.MustBuild(tryAlternate(netip.MustParseAddrPort(tc.alternate))...)
			server := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(tc.server))
			if err := s.followAlternate(m, server); (err == nil) != tc.want {
				t.Errorf("followed: %v, want %v", err, tc.want)
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		followed := 0
		s := &packetConn{redirect: func(net.Addr, netip.AddrPort, string) error { followed++; return nil }}
		server := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:3478"))
		for port := range uint16(10) {
			_ = s.followAlternate(stun.MustBuild(tryAlternate(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 4000+port))...), server)
		}
		if followed != maxRedirects {
			t.Errorf("followed %d servers, want %d", followed, maxRedirects)
		}
	})
}

// certificateFor returns a self-signed certificate of a domain.
func certificateFor(t *testing.T, domain string, pool *x509.CertPool) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{domain}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// An alternate server that is reached over TLS has the certificate of ALTERNATE-DOMAIN, or else of
// the first server.
func TestAlternateServerOverTLS(t *testing.T) {
	for name, tc := range map[string]struct {
		certificate, domain string
		want                bool
	}{
		"ALTERNATE-DOMAIN": {"alternate.test", "alternate.test", true},
		"same domain":      {"localhost", "", true},
		"other domain":     {"other.test", "alternate.test", false},
		"no domain":        {"other.test", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			pool := x509.NewCertPool()
			request := allocateRequest("")
			// serve answers one request.
			serve := func(domain string, answer func() []byte) netip.AddrPort {
				l, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificateFor(t, domain, pool)}})
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					conn, err := l.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					if _, err := io.ReadFull(conn, make([]byte, len(request.Raw))); err == nil {
						_, _ = conn.Write(answer())
						_, _ = io.Copy(io.Discard, conn)
					}
				}()
				t.Cleanup(func() { _ = l.Close(); <-done })
				return netaddr.AddrPort(l.Addr())
			}
			alternate := serve(tc.certificate, func() []byte { return response(request, stun.ClassSuccessResponse) })
			first := serve("localhost", func() []byte {
				attributes := tryAlternate(alternate)
				if tc.domain != "" {
					attributes = append(attributes, stun.RawAttribute{Type: stun.AttrAlternateDomain, Value: []byte(tc.domain)})
				}
				return response(request, stun.ClassErrorResponse, attributes...)
			})
			address := net.JoinHostPort("localhost", first.String()[len("127.0.0.1:"):])
			d := NewDialer(t.Context(), Config{TLS: &tls.Config{RootCAs: pool}, DialContext: new(net.Dialer).DialContext, Servers: func() []webrtc.ICEServer {
				return []webrtc.ICEServer{{URLs: []string{"turns:" + address + "?transport=tcp"}}}
			}})
			conn, err := d.Dial("tcp4", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := conn.Write(request.Raw); err != nil {
				t.Fatal(err)
			}
			header := make([]byte, stunHeader)
			if _, err := io.ReadFull(bufio.NewReader(conn), header); err != nil {
				t.Fatal(err)
			}
			if got := isAllocate(header, stun.ClassSuccessResponse); got != tc.want {
				t.Errorf("success response: %v, want %v", got, tc.want)
			}
		})
	}
}

// The end of a call ends an allocation for which no response comes.
func TestContextEndsAllocation(t *testing.T) {
	server := listenLoopback(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn := NewDialer(ctx, Config{}).PacketConn(listenLoopback(t))
	defer conn.Close()
	request := allocateRequest("")
	if _, err := conn.WriteTo(request.Raw, server.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if m, _ := receive(t, conn); m.TransactionID != request.TransactionID || m.Type.Class != stun.ClassErrorResponse {
		t.Errorf("the client received %v", m)
	}
	if _, err := conn.WriteTo(request.Raw, server.LocalAddr()); err == nil {
		t.Error("a request is sent after the end")
	}
}

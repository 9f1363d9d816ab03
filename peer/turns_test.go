package peer

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// A server of turns: is reached over TLS, if its certificate is trusted; others are reached as before.
func TestTurnsDialer(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	address := web.Listener.Addr().String()
	turns := []webrtc.ICEServer{{URLs: []string{"stun:a", "turns:" + address + "?transport=tcp"}}}
	trusted := x509.NewCertPool()
	trusted.AddCert(web.Certificate())
	for name, tc := range map[string]struct {
		config Config
		secure bool
		fails  string
	}{
		"trusted":             {Config{TLS: &tls.Config{RootCAs: trusted}, ICEServers: turns}, true, ""},
		"trusted, came later": {Config{TLS: &tls.Config{RootCAs: trusted}, FreshICEServers: func() []webrtc.ICEServer { return turns }}, true, ""},
		"of strangers":        {Config{TLS: &tls.Config{RootCAs: x509.NewCertPool()}, ICEServers: turns}, true, "unknown authority"},
		"not turns:":          {Config{TLS: &tls.Config{}, ICEServers: []webrtc.ICEServer{{URLs: []string{"turn:" + address + "?transport=tcp"}}}}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := (&turnsDialer{config: &tc.config, dialing: t.Context()}).Dial("tcp4", address)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) || conn != nil {
					t.Errorf("got %v, %v", conn, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, secure := conn.(*relayStream).Conn.(*tls.Conn); secure != tc.secure {
				t.Errorf("it is a %T", conn)
			}
			if _, ok := conn.LocalAddr().(*net.TCPAddr); !ok {
				t.Errorf("its address is a %T", conn.LocalAddr()) // Pion wants one
			}
		})
	}
}

// stunProbe is the URL of a STUN server that says nothing; asked is closed when it was asked.
func stunProbe(t *testing.T) (servers []webrtc.ICEServer, asked <-chan struct{}) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if _, _, err := socket.ReadFrom(make([]byte, 1500)); err == nil {
			close(heard)
		}
		_, _ = io.Copy(io.Discard, socket.(*net.UDPConn))
	}()
	t.Cleanup(func() { _ = socket.Close(); <-done })
	return []webrtc.ICEServer{{URLs: []string{"stun:" + socket.LocalAddr().String()}}}, heard
}

// Both sides of an ICE restart use the servers of now, and not those of the beginning of the call.
func TestARestartUsesFreshICEServers(t *testing.T) {
	callers, callersAsked := stunProbe(t)
	answerers, answerersAsked := stunProbe(t)
	a, b := pair(t, func(caller, answerer *Config) {
		caller.FreshICEServers = func() []webrtc.ICEServer { return callers }
		answerer.FreshICEServers = func() []webrtc.ICEServer { return answerers }
		caller.Loopback, answerer.Loopback = true, true
	})
	a.awaitConnected()
	b.awaitConnected()
	select {
	case <-callersAsked:
		t.Error("the caller used them before it had to")
	default:
	}
	a.call.RestartICE()
	<-callersAsked
	<-answerersAsked
}

package turnclient

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// A turns: server is reached over TLS if its certificate is trusted, others over plain TCP.
func TestDialer(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	servers := func(list []webrtc.ICEServer) func() []webrtc.ICEServer {
		return func() []webrtc.ICEServer { return list }
	}
	address := web.Listener.Addr().String()
	turns := []webrtc.ICEServer{{URLs: []string{"stun:a", "turns:" + address + "?transport=tcp"}}}
	trusted := x509.NewCertPool()
	trusted.AddCert(web.Certificate())
	for name, tc := range map[string]struct {
		config Config
		secure bool
		fails  string
	}{
		"trusted":    {Config{TLS: &tls.Config{RootCAs: trusted}, Servers: servers(turns)}, true, ""},
		"untrusted":  {Config{TLS: &tls.Config{RootCAs: x509.NewCertPool()}, Servers: servers(turns)}, true, "unknown authority"},
		"not turns:": {Config{TLS: &tls.Config{}, Servers: servers([]webrtc.ICEServer{{URLs: []string{"turn:" + address + "?transport=tcp"}}})}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tc.config.DialContext = new(net.Dialer).DialContext
			conn, err := NewDialer(t.Context(), tc.config).Dial("tcp4", address)
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
			if _, secure := conn.(*stream).current().(*tls.Conn); secure != tc.secure {
				t.Errorf("it is a %T", conn)
			}
			if _, ok := conn.LocalAddr().(*net.TCPAddr); !ok {
				t.Errorf("its address is a %T", conn.LocalAddr()) // Pion wants one
			}
		})
	}
}

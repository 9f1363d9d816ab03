package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"parley/cmd/parley/internal/certtest"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal"
	"parley/signal/server"
	"parley/signal/turnserver"
	"parley/signal/turnserver/coturntest"
	"parley/signal/web/webtest"
)

// relayURL is the URL of a relay that `serve` said it opened, with a prefix and an ending.
func relayURL(t *testing.T, events []e2etest.Event, prefix, suffix string) string {
	t.Helper()
	for _, e := range events {
		if e["event"] != "turn-listening" {
			continue
		}
		for _, u := range e["urls"].([]any) {
			if url := u.(string); strings.HasPrefix(url, prefix) && strings.HasSuffix(url, suffix) {
				return url
			}
		}
	}
	t.Fatalf("no relay %s...%s in %v", prefix, suffix, events)
	return ""
}

// tlsRelay runs a TURN server over TLS with a certificate of its own, and returns the certificate's
// file and the server as --ice-server takes it.
func tlsRelay(t *testing.T) (certFile, iceServer string) {
	t.Helper()
	cert, key, err := certtest.New("localhost", 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, content := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, _, events := e2etest.ServeEvents(t, "--turn", "127.0.0.1:0", "--turn-secret", "north", "--tls-cert", certFile, "--tls-key", keyFile)
	url := relayURL(t, events, "turns:localhost:", "transport=tcp")
	user, password := turnserver.Credentials{Secret: "north"}.Make("alice")
	return certFile, url + "," + user + "," + password
}

// A call goes through turns: alone, where the certificate is one of --ca.
func TestRelayedOverTLS(t *testing.T) {
	certFile, iceServer := tlsRelay(t)
	_, server, _ := e2etest.ServeEvents(t)
	relayedCall(t, server, "--ca", certFile, "--ice-server", iceServer).Says(t, `"relayProtocol":"tls"`)
}

// TestDoctorRelayedOverTLS: --ca counts for the call of doctor too, not only for its check of the
// server.
func TestDoctorRelayedOverTLS(t *testing.T) {
	certFile, iceServer := tlsRelay(t)
	_, server, _ := e2etest.ServeEvents(t)
	relayed := []string{"--server", server, "--ca", certFile, "--ice-server", iceServer, "--ice-policy", "relay"}
	bob := e2etest.Start(t, append([]string{"answer", "--as", "bob"}, relayed...)...)
	bob.Says(t, "waiting for calls")
	p := e2etest.Start(t, append([]string{"doctor", "bob"}, relayed...)...)
	p.Ends(t, 0)
	p.Says(t, `(?m)^ok    turn       turns:localhost:`)
	p.Says(t, `(?m)^note  path       through a relay: `)
	e2etest.Interrupt(t, bob)
}

// Somebody has been signed in for longer than its first credentials can begin a call. When called,
// it has fresh ones.
func TestFreshCredentials(t *testing.T) {
	var later atomic.Int64
	credentials := turnserver.Credentials{Secret: "north", TTL: time.Hour, Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }}
	at := e2etest.StartTURN(t, turnserver.Options{Credentials: credentials})
	server := server.New(&server.Options{
		// The clients have their own clocks: they learn that an hour is two seconds.
		ICEServersFor: 2 * time.Second,
		ICEServers: func(name string, _ time.Duration) []signal.ICEServer {
			user, password := credentials.Make(name)
			return []signal.ICEServer{{URLs: []string{"turn:" + at.String()}, Username: user, Credential: password}}
		},
	})
	web := httptest.NewServer(server)
	t.Cleanup(func() { _ = server.Close(); web.Close() })
	url := "ws" + strings.TrimPrefix(web.URL, "http")
	bob := e2etest.Start(t, "answer", "--server", url, "--as", "bob", "--once", "--ice-policy", "relay", "--output", "ndjson", "--say", "hello alice")
	bob.Says(t, `"event":"login"`)
	later.Store(int64(25 * time.Hour))
	// Bob's first credentials are of yesterday. Alice comes when bob has had the time to ask.
	registry := prometheus.NewRegistry()
	registry.MustRegister(server)
	metrics := func() string {
		w := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Body.String()
	}
	for deadline := time.Now().Add(e2etest.Patience); !strings.Contains(metrics(), `signaling_messages_received_total{dialect="call",type="iceServers"} 1`); {
		if time.Now().After(deadline) {
			t.Fatalf("bob does not ask:\n%s", metrics())
		}
		time.Sleep(10 * time.Millisecond)
	}
	alice := e2etest.Start(t, "call", "bob", "--server", url, "--as", "alice", "--output", "ndjson", "--expect", "text=hello alice")
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	isRelayed(t, bob)
}

// The hello-world pages, which may go through relays alone, find one in what the server answers to
// init.
func TestHelloRelayed(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, _, _ := e2etest.ServeEvents(t, "--turn", netip.AddrPortFrom(coturntest.LocalAddress(t), 0).String(), "--turn-open")
		saruman, gandalf := b.NewTab(), b.NewTab()
		for _, tab := range []*webtest.Tab{saruman, gandalf} {
			tab.Preload(relayOnly)
		}
		saruman.Go(page + "/hello?as=Saruman")
		saruman.Wait(`document.querySelector('#status').innerText.includes('waiting')`)
		gandalf.Go(page + "/hello?as=Gandalf&call=1")
		for _, tab := range []*webtest.Tab{saruman, gandalf} {
			tab.Wait(`document.querySelectorAll('#heard .line').length >= 2`)
			tab.NoErrors()
			tab.Close()
		}
	})
}

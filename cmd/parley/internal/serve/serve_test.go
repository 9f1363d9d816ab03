package serve

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/signal/server"
)

// valid returns options of a server on a free loopback port.
func valid() Options {
	return Options{Listen: []string{"127.0.0.1:0"}, TURN: TURNOptions{TTL: time.Hour}}
}

// TestInvalidOptions checks that each invalid option is named in a usage error before anything
// opens.
func TestInvalidOptions(t *testing.T) {
	for want, set := range map[string]func(*Options){
		`invalid --nats "http://a:1"`:             func(o *Options) { o.Cluster.NATS = "nats://b, http://a:1" },
		`invalid --nats "nats://a:65536"`:         func(o *Options) { o.Cluster.NATS = "nats://a:65536" },
		`invalid --nats "nats://a/b"`:             func(o *Options) { o.Cluster.NATS = "nats://a/b" },
		`invalid --nats "embedded:70000"`:         func(o *Options) { o.Cluster.NATS = "embedded:70000" },
		`invalid --nats "embeddedA"`:              func(o *Options) { o.Cluster.NATS = "embeddedA" },
		"invalid URL 3 of --nats: want ":          func(o *Options) { o.Cluster.NATS = "nats://a,nats://b," },
		"--nats-creds is of use with --nats only": func(o *Options) { o.Cluster.Credentials = "a" },
		`--nats-prefix: invalid prefix "a.b"`:     func(o *Options) { o.Cluster.NATS, o.Cluster.Prefix = "nats://a", "a.b" },
		"--nats-creds is for NATS servers":        func(o *Options) { o.Cluster.NATS, o.Cluster.Credentials = "embedded", "a" },
		"invalid --drain -1s":                     func(o *Options) { o.Drain = -time.Second },
		"--admin-host is of use with --admin":     func(o *Options) { o.Admin.Hosts = []string{"a"} },
		`invalid --admin-host "a:1"`:              func(o *Options) { o.Admin = AdminOptions{"127.0.0.1:0", []string{"a:1"}} },
		"--allow-origin: ":                        func(o *Options) { o.AllowOrigins = []string{"example.org"} },
		`invalid --origin "https://a/page"`:       func(o *Options) { o.Origin = "https://a/page" },
		"invalid --origin \"\ufffd[2J\"":          func(o *Options) { o.Origin = "\x1b[2J" },
		`invalid --trusted-proxy "nonsense"`:      func(o *Options) { o.TrustedProxies, o.ClientIPHeader = []string{"nonsense"}, "Forwarded" },
		"--trusted-proxy needs":                   func(o *Options) { o.TrustedProxies = []string{"10.0.0.0/8"} },
		"--client-ip-header needs":                func(o *Options) { o.ClientIPHeader = "Forwarded" },
		`invalid --client-ip-header "X: 1"`:       func(o *Options) { o.TrustedProxies, o.ClientIPHeader = []string{"10.0.0.1"}, "X: 1" },
		"--auth-jwt and --auth-webhook":           func(o *Options) { o.Login = LoginOptions{JWT: "a", Webhook: "http://localhost/"} },
		"--auth-jwt-issuer is of use":             func(o *Options) { o.Login.JWTIssuer = "us" },
		"--auth-jwt-audience is of use":           func(o *Options) { o.Login.JWTAudience = "us" },
		"--auth-webhook-header is of use":         func(o *Options) { o.Login.WebhookHeader = http.Header{"A": {"b"}} },
		"--auth-webhook: ":                        func(o *Options) { o.Login.Webhook = "ftp://localhost/" },
		"one of them gives the certificate":       func(o *Options) { o.TLS = TLSOptions{CertFile: "a", KeyFile: "b", SelfSigned: true} },
		"--tls-cert and --tls-key go together":    func(o *Options) { o.TLS.KeyFile = "a" },
		`invalid --acme "192.0.2.1"`:              func(o *Options) { o.TLS.ACME.Host = "192.0.2.1" },
		"invalid --turn-ttl 0s":                   func(o *Options) { o.TURN.TTL = 0 },
		`invalid --ice-server "example.org"`:      func(o *Options) { o.ICEServers = []string{"example.org"} },
		`invalid --ice-server "***@h:x"`:          func(o *Options) { o.ICEServers = []string{"turn:u:SECRET@h:x,a,b"} },
		"--turn-secret, its static-auth-secret":   func(o *Options) { o.ICEServers = []string{"turn:example.org"} },
		"--turn-open is of use with":              func(o *Options) { o.TURN.Open = true },
		`invalid --turn "example.org:1"`:          func(o *Options) { o.TURN.Address = "example.org:1" },
		`--turn ":0": without a login`:            func(o *Options) { o.TURN.Address = ":0" },
		`invalid --turn-allowed-peer-ip "ten"`:    func(o *Options) { o.TURN.Address, o.TURN.AllowedPeers = "127.0.0.1:0", []string{"ten"} },
		`invalid --turn-external-ip "here"`:       func(o *Options) { o.TURN.Address, o.TURN.ExternalIPs = "127.0.0.1:0", []string{"here"} },
		"--turn: invalid port range 50010 to 500": func(o *Options) { o.TURN.Address, o.TURN.Ports = "127.0.0.1:0", [2]uint16{50010, 500} },
	} {
		o := valid()
		set(&o)
		err := Run(t.Context(), o)
		if exit.CodeOf(err) != exit.Usage || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET@") {
			t.Errorf("got code %d, %v, want code %d and %q", exit.CodeOf(err), err, exit.Usage, want)
		}
	}
}

// TestSecretOfInvalidURL checks that no error repeats a password or a token of --nats.
func TestSecretOfInvalidURL(t *testing.T) {
	for _, value := range []string{"u:SECRET@a:1", "http://u:SECRET@a", "nats://SECRET@", "nats://u:SECRET@a:b", "nats://u:SECRET%zz@a", "nats://u:SECRET,@a", "nats://u:1,SECRET@a"} {
		o := valid()
		o.Cluster.NATS = value
		if err := Run(t.Context(), o); exit.CodeOf(err) != exit.Usage || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("--nats %s: got code %d, %v, want code %d without the secret", value, exit.CodeOf(err), err, exit.Usage)
		}
	}
}

// TestEndWithoutNATS ends a server that waits for NATS at its start: that is no error.
func TestEndWithoutNATS(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := valid()
	o.Cluster.NATS = "nats://SECRET@127.0.0.1:1"
	log := &canceling{cancel: cancel}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	if err := Run(ctx, o); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if log := log.text.String(); !strings.Contains(log, "127.0.0.1:1") || strings.Contains(log, "SECRET") {
		t.Errorf("log: got %q, want the address without the token", log)
	}
}

// canceling is a log that cancels a context with its first line.
type canceling struct {
	cancel context.CancelFunc

	mu   sync.Mutex // guards text
	text strings.Builder
}

func (c *canceling) Write(b []byte) (int, error) {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

// TestNATSAddressInUse checks that a NATS server whose address is in use is reported at once.
func TestNATSAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := valid()
	o.Cluster.NATS = "embedded:" + l.Addr().String()
	began := time.Now()
	if err := Run(t.Context(), o); exit.CodeOf(err) != exit.Failure || !strings.Contains(err.Error(), "address already in use") || time.Since(began) > 5*time.Second {
		t.Errorf("got code %d, %v after %s, want code %d at once", exit.CodeOf(err), err, time.Since(began), exit.Failure)
	}
}

// TestUnusableFiles checks that a missing file has the exit code of files.
func TestUnusableFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, set := range map[string]func(*Options){
		"--tls-cert, --tls-key: ": func(o *Options) { o.TLS = TLSOptions{CertFile: missing, KeyFile: missing} },
		"--nats-creds: ":          func(o *Options) { o.Cluster = ClusterOptions{NATS: "nats://a", Credentials: file} },
		"--auth-jwt: ":            func(o *Options) { o.Login.JWT = missing },
		"--acme-cache: ": func(o *Options) {
			o.TLS.ACME = ACMEOptions{Host: "call.example.org", Cache: filepath.Join(file, "cache")}
		},
	} {
		o := valid()
		set(&o)
		err := Run(t.Context(), o)
		if exit.CodeOf(err) != exit.Device || !strings.Contains(err.Error(), want) {
			t.Errorf("got code %d, %v, want code %d and %q", exit.CodeOf(err), err, exit.Device, want)
		}
	}
}

// TestRun checks that Run reports what it opens, serves it, and closes all of it at the end.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := make(chan Event, 10)
	o := valid()
	o.Admin.Address, o.TURN.Address, o.Version = "127.0.0.1:0", "127.0.0.1:0", "v1.2.3"
	o.Report = func(e Event) { events <- e }
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	var page, admin, turn string
	for page == "" {
		select {
		case err := <-ended:
			t.Fatal(err)
		case e := <-events:
			switch e := e.(type) {
			case Listening:
				page = e.Page
			case AdminListening:
				admin = e.URL
			case TURNListening:
				turn = strings.Join(e.URLs, " ")
			default:
				t.Errorf("unexpected %T: %v", e, e)
			}
		}
	}
	if !strings.Contains(turn, "turn:127.0.0.1:") || !strings.Contains(turn, "stun:127.0.0.1:") {
		t.Errorf("got ICE servers %q", turn)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(url string) string {
		t.Helper()
		r, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var b strings.Builder
		if _, err := io.Copy(&b, r.Body); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got := get(page); !strings.Contains(got, "<!doctype html>") {
		t.Errorf("got page %q", got)
	}
	metrics := get(admin + "metrics")
	for _, want := range []string{`version="v1.2.3"`, "\nsignaling_connections 0\n", "\nturn_allocations 0\n", "\ngo_goroutines "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %q:\n%s", want, metrics)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(admin, "http://"), "/")); err == nil {
		_ = c.Close()
		t.Errorf("%s is still open", admin)
	}
}

// TestRunPortInUse checks that a port in use ends Run, and that the sockets opened before are
// closed.
func TestRunPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	o := valid()
	o.Listen, o.Admin.Address = []string{free.Addr().String()}, taken.Addr().String()
	if err := Run(t.Context(), o); exit.CodeOf(err) != exit.Failure || !strings.Contains(err.Error(), "--admin takes another address") {
		t.Errorf("got %v", err)
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Fatalf("the socket of --listen is still open: %v", err)
	}
	_ = again.Close()
}

// TestAdminHosts checks the names by which the administration address can be requested.
func TestAdminHosts(t *testing.T) {
	signaling := server.New(nil)
	defer signaling.Close()
	s := &service{adminNames: []string{"parley.internal", "Metrics.example"}}
	handler := s.rejectUnknownHosts(s.adminHandler(signaling))
	get := func(host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for host, want := range map[string]int{
		"127.0.0.1:9091": 200, "[::1]:9091": 200, "localhost": 200, "parley.internal:9091": 200, "PARLEY.internal": 200, "parley.internal.:9091": 200,
		"metrics.example": 200, "evil.example": 403, "parley.internal.evil.example": 403, "xparley.internal": 403, "": 403,
	} {
		if got := get(host, "/metrics").Code; got != want {
			t.Errorf("Host %q: got status %d, want %d", host, got, want)
		}
	}
	if w := get("localhost", "/debug/pprof/cmdline"); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), filepath.Base(os.Args[0])) {
		t.Errorf("/debug/pprof/cmdline: got status %d and %q", w.Code, w.Body)
	}
}

// TestStrictTransport checks that browsers are asked to use only TLS, over TLS and not by
// localhost.
func TestStrictTransport(t *testing.T) {
	handler := strictTransport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, tc := range []struct {
		host   string
		secure bool
		want   string
	}{
		{"call.example.org", true, "max-age=31536000"}, {"call.example.org:8443", true, "max-age=31536000"},
		{"call.example.org", false, ""}, {"localhost:9090", true, ""}, {"a.localhost", true, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host, r.TLS = tc.host, nil
		if tc.secure {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security"); got != tc.want {
			t.Errorf("%s, TLS %v: got %q, want %q", tc.host, tc.secure, got, tc.want)
		}
	}
}

// TestPageAuto loads the page as a user who types its address, and as a link from another site
// does.
func TestPageAuto(t *testing.T) {
	const local, public = "localhost:9090", "call.example.org"
	loopback := []string{"127.0.0.1:9090", "[::1]:9090", "localhost:80"}
	for _, c := range []struct {
		name string
		o    Options
		host string
		want bool
	}{
		{"all addresses", Options{Listen: []string{":9090"}}, local, false},
		{"loopback addresses", Options{Listen: loopback}, local, true},
		{"one other address", Options{Listen: append(loopback, "192.168.0.7:9090")}, local, false},
		{"a name", Options{Listen: []string{"printer:9090"}}, local, false},
		{"a proxy in front", Options{Listen: loopback}, public, false},
		{"a proxy by --origin", Options{Listen: loopback, Origin: "https://call.example.org"}, local, false},
		{"a proxy by --trusted-proxy", Options{Listen: loopback, TrustedProxies: []string{"127.0.0.1"}, ClientIPHeader: "X-Forwarded-For"}, local, false},
		{"permitted", Options{Listen: []string{":9090"}, PageAuto: new(true)}, public, true},
		{"permitted behind a proxy", Options{Listen: loopback, Origin: "https://call.example.org", PageAuto: new(true)}, public, true},
		{"forbidden", Options{Listen: loopback, PageAuto: new(false)}, local, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.TURN.TTL = time.Hour
			s, err := newService(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			for site, want := range map[string]bool{"none": c.want, "same-origin": c.want, "same-site": false, "cross-site": false} {
				r := httptest.NewRequest("GET", "http://"+c.host+"/?as=tab&answer=1", nil)
				r.Header.Set("Sec-Fetch-Site", site)
				w := httptest.NewRecorder()
				s.signaling.Pages.ServeHTTP(w, r)
				if got := strings.Contains(w.Body.String(), "data-auto"); w.Code != http.StatusOK || got != want {
					t.Errorf("Sec-Fetch-Site %s: status %d, permitted %v, want %v", site, w.Code, got, want)
				}
			}
		})
	}
}

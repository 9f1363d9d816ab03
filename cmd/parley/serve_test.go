package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/stdio"
)

// servingScript NAME ARGS... runs `parley serve ARGS` at a free port, and sets $PARLEY_SERVER, $PAGE, $ADMIN and $TURN to where it is.
func servingScript(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: serving NAME ARGS...")
	}
	path, err := exec.LookPath("parley")
	for _, dir := range strings.Split(ts.Getenv("PATH"), ":") {
		if _, statErr := os.Stat(dir + "/parley"); statErr == nil {
			path, err = dir+"/parley", nil
			break
		}
	}
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0", "--output", "ndjson"}, args[1:]...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, v := range []string{"PATH", "HOME", "TMPDIR", "NO_COLOR"} {
		cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
	}
	p, err := startProcess(cmd)
	ts.Check(err)
	ts.Defer(func() { _ = cmd.Process.Kill(); <-p.exited })
	ts.Value("running").(map[string]*process)[args[0]] = p
	ts.Check(p.until(`"event":"listening".*\n`))
	events, err := readEvents(p.out.String())
	ts.Check(err)
	for _, e := range events {
		url := strings.TrimSuffix(fmt.Sprint(e["url"]), "/")
		switch e["event"] {
		case "listening":
			ts.Setenv("PAGE", url)
			ts.Setenv("PARLEY_SERVER", "ws"+strings.TrimPrefix(url, "http"))
		case "admin":
			ts.Setenv("ADMIN", url)
		case "relaying":
			ts.Setenv("TURN", fmt.Sprint(e["urls"].([]any)[0]))
		}
	}
}

// get URL STATUS [PATTERN] asks until the answer has that status, and its body matches.
func get(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: get URL STATUS [PATTERN]")
	}
	re := regexp.MustCompile(strings.Join(args[2:], " "))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		response, err := client.Get(args[0])
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		last = fmt.Sprintf("%s\n%s", response.Status, body)
		if err == nil && fmt.Sprint(response.StatusCode) == args[1] && re.Match(body) {
			return
		}
	}
	ts.Fatalf("%s: %s", args[0], last)
}

// certificate NAME HOST writes NAME.crt and NAME.key for a host, signed by itself.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: certificate NAME HOST")
	}
	cert, key, err := newCertificate(args[1], big.NewInt(time.Now().UnixNano()))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".crt"), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), key, 0o600))
}

// newCertificate makes one for a host that trusts itself, as PEM.
func newCertificate(host string, serial *big.Int) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), err
}

// TestServePageAuto loads the page as a user who types its address, and as a link from another site does.
func TestServePageAuto(t *testing.T) {
	const local, public = "localhost:9090", "call.example.org"
	for _, c := range []struct {
		name, flags, env, host string
		want                   bool
	}{
		{"all addresses", "", "", local, false},
		{"loopback addresses", "--listen 127.0.0.1:9090 --listen [::1]:9090 --listen localhost:80", "", local, true},
		{"one other address", "--listen 127.0.0.1:9090 --listen 192.168.0.7:9090", "", local, false},
		{"a name", "--listen printer:9090", "", local, false},
		{"a proxy in front", "--listen 127.0.0.1:9090", "", public, false},
		{"a proxy by --origin", "--listen 127.0.0.1:9090 --origin https://call.example.org", "", local, false},
		{"a proxy by --trusted-proxy", "--listen 127.0.0.1:9090 --trusted-proxy 127.0.0.1 --client-ip-header X-Forwarded-For", "", local, false},
		{"permitted", "--page-auto", "", public, true},
		{"permitted by the environment", "", "true", public, true},
		{"permitted behind a proxy", "--page-auto --listen 127.0.0.1:9090 --origin https://call.example.org", "", public, true},
		{"forbidden", "--listen 127.0.0.1:9090 --page-auto=false", "", local, false},
		{"forbidden by the environment", "--listen 127.0.0.1:9090", "false", local, false},
		{"permitted against the environment", "--page-auto", "false", public, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.env != "" {
				t.Setenv("PARLEY_SERVE_PAGE_AUTO", c.env)
			}
			std := stdio.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}
			var pages http.Handler
			command := serveCommand(std)
			command.Action = func(ctx context.Context, cmd *cli.Command) error {
				s := &settings{}
				if err := s.readOutput(cmd, std); err != nil {
					return err
				}
				srv, err := readServer(ctx, cmd, std, s)
				if err != nil {
					return err
				}
				pages = srv.options.Pages
				return nil
			}
			if err := command.Run(t.Context(), append([]string{"serve"}, strings.Fields(c.flags)...)); err != nil {
				t.Fatal(err)
			}
			for site, want := range map[string]bool{"none": c.want, "same-origin": c.want, "same-site": false, "cross-site": false} {
				r := httptest.NewRequest("GET", "http://"+c.host+"/?as=tab&answer=1", nil)
				r.Header.Set("Sec-Fetch-Site", site)
				w := httptest.NewRecorder()
				pages.ServeHTTP(w, r)
				if got := strings.Contains(w.Body.String(), "data-auto"); w.Code != http.StatusOK || got != want {
					t.Errorf("Sec-Fetch-Site %s: status %d, permitted %v, want %v", site, w.Code, got, want)
				}
			}
		})
	}
}

package serve

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/certtest"
)

// patience bounds the wait for an event that should come soon.
const patience = 30 * time.Second

// newFiles returns the paths of a certificate and its key, and a function that replaces both.
func newFiles(t *testing.T, host string) (cert, key string, replace func(serial int64)) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace = func(serial int64) {
		t.Helper()
		c, k, err := certtest.New(host, serial)
		if err != nil {
			t.Fatal(err)
		}
		replaceFile(t, cert, c)
		replaceFile(t, key, k)
	}
	replace(1)
	return cert, key, replace
}

// replaceFile replaces a file by a new one, as certbot does.
func replaceFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// TestCertificateFilesReload checks that a renewed certificate is used soon, and a broken one
// never.
func TestCertificateFilesReload(t *testing.T) {
	cert, key, replace := newFiles(t, "example.org")
	var log bytes.Buffer
	c, err := loadFiles(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if c.name != "example.org" {
		t.Errorf("got name %q", c.name)
	}
	serial := func() int64 {
		t.Helper()
		got, err := c.config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.SerialNumber.Int64()
	}
	wait := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("timed out waiting for %s", what)
			}
		}
	}
	if n := serial(); n != 1 {
		t.Fatalf("got serial %d, want 1", n)
	}
	replace(2)
	wait("serial 2", func() bool { return serial() == 2 })
	replaceFile(t, cert, []byte("half of a certif"))
	wait("a warning", func() bool {
		if n := serial(); n != 2 {
			t.Fatalf("got serial %d with a broken file, want 2", n)
		}
		return strings.Contains(log.String(), "the last one stays")
	})
	replace(3)
	wait("serial 3", func() bool { return serial() == 3 })
}

// TestIsOwnName checks that only names of the machine and of its certificate are the server's own.
func TestIsOwnName(t *testing.T) {
	cert, key, _ := newFiles(t, "*.example.org")
	files, err := loadFiles(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	machine = strings.ToLower(machine)
	for _, tc := range []struct {
		secure *certificates
		host   string
		want   bool
	}{
		{nil, machine, true},
		{nil, "evil.example", false},
		{nil, machine + ".evil.example", false},
		{nil, "call.example.org", false},
		{files, machine, true},
		{files, "call.example.org", true},
		{files, "a.call.example.org", false},
		{files, "example.org.evil.example", false},
		{files, "evil.example", false},
	} {
		if got := (&service{secure: tc.secure}).isOwnName(tc.host); got != tc.want {
			t.Errorf("%s, with a certificate %v: got %v, want %v", tc.host, tc.secure != nil, got, tc.want)
		}
	}
}

// TestSelfSigned checks that the certificate is for every address of this machine and stays the
// same.
func TestSelfSigned(t *testing.T) {
	c, err := newSelfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.config.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.config.GetCertificate(&tls.ClientHelloInfo{ServerName: "other"})
	if err != nil || !bytes.Equal(first.Certificate[0], second.Certificate[0]) {
		t.Errorf("the certificate changed: %v", err)
	}
	leaf, err := x509.ParseCertificate(first.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"localhost"}
	for _, a := range machineAddresses() {
		hosts = append(hosts, a.String())
	}
	if len(hosts) < 2 {
		t.Fatal("this machine has no address")
	}
	for _, host := range hosts {
		if err := leaf.VerifyHostname(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if life := time.Until(leaf.NotAfter); life > 825*24*time.Hour || life < 300*24*time.Hour {
		t.Errorf("got a lifetime of %s, want 300 to 825 days", life)
	}
	if len(c.fingerprint) != 32*3-1 {
		t.Errorf("got fingerprint %q, want 32 bytes", c.fingerprint)
	}
	if config := c.turnTLS(); config.NextProtos != nil || config.GetCertificate == nil {
		t.Errorf("got %+v for TURN, want no ALPN", config)
	}
}

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A certificate that was renewed is in use soon, and one that is broken never.
func TestCertificateIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(serial int64) {
		t.Helper()
		c, k, err := newCertificate("example.org", big.NewInt(serial))
		if err != nil {
			t.Fatal(err)
		}
		replace(t, cert, c)
		replace(t, key, k)
	}
	write(1)
	var log bytes.Buffer
	c, err := certificateFiles(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if c.name != "example.org" {
		t.Errorf("the name is %q", c.name)
	}
	serial := func() int64 {
		t.Helper()
		got, err := c.config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatalf("serial %d", n)
	}
	write(2)
	untilSerial(t, serial, 2)
	replace(t, cert, []byte("half of a certif"))
	deadline := time.Now().Add(patience)
	for !strings.Contains(log.String(), "the last one stays") && time.Now().Before(deadline) {
		if n := serial(); n != 2 {
			t.Fatalf("serial %d while the file is broken", n)
		}
		time.Sleep(10 * time.Millisecond)
	}
	write(3)
	untilSerial(t, serial, 3)
}

// replace writes a file as certbot does: at once, with a time of its own.
func replace(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func untilSerial(t *testing.T, serial func() int64, want int64) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if serial() == want {
			return
		}
	}
	t.Fatalf("serial %d does not come in use", want)
}

// Pages from the names of the machine and of the certificate may connect, and no others by themselves.
func TestOwnNames(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	c, k, err := newCertificate("*.example.org", big.NewInt(1))
	if err != nil {
		t.Fatal(err)
	}
	replace(t, cert, c)
	replace(t, key, k)
	files, err := certificateFiles(cert, key, slog.New(slog.DiscardHandler))
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
		if got := (&parleyServer{secure: tc.secure}).isOwnName(tc.host); got != tc.want {
			t.Errorf("%s, with a certificate %v: own is %v, want %v", tc.host, tc.secure != nil, got, tc.want)
		}
	}
}

// Our own certificate is good for every address of this machine, and the same for the run.
func TestSelfSigned(t *testing.T) {
	c, err := selfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.config.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.config.GetCertificate(&tls.ClientHelloInfo{ServerName: "other"})
	if err != nil || !bytes.Equal(first.Certificate[0], second.Certificate[0]) {
		t.Errorf("the certificate changes: %v", err)
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
		t.Errorf("it is good for %s", life)
	}
	if len(c.fingerprint) != 32*3-1 {
		t.Errorf("fingerprint %q", c.fingerprint)
	}
	if config := c.turnTLS(); config.NextProtos != nil || config.GetCertificate == nil {
		t.Errorf("%+v", config)
	}
}

func TestRates(t *testing.T) {
	for in, want := range map[string]string{"5/10": "{5 10}", "0": "{-1 0}", "0.5": "{0.5 0}", "100/1": "{100 1}"} {
		if r, err := rate(in); err != nil || sprint(r) != want {
			t.Errorf("%s: %v %v, want %s", in, r, err, want)
		}
	}
	for _, in := range []string{"", "x", "5/", "5/x", "-1", "5/0", "0/5", "5/-1", "NaN", "Inf", "5/10/15"} {
		if r, err := rate(in); err == nil {
			t.Errorf("%q is taken for %v", in, r)
		}
	}
}

func TestTurnAddresses(t *testing.T) {
	for in, want := range map[string]string{":3478": "/3478", "192.0.2.1:5": "192.0.2.1/5", "192.0.2.1": "192.0.2.1/3478", "[::1]:7": "::1/7", ":0": "/0"} {
		host, port, err := turnAddress(in)
		if err != nil || host+"/"+sprint(port) != want {
			t.Errorf("%s: %s/%d %v, want %s", in, host, port, err, want)
		}
	}
	for _, in := range []string{"example.org:3478", ":http", ":99999", "::1:x:y", "-"} {
		if host, port, err := turnAddress(in); err == nil {
			t.Errorf("%s is taken for %s/%d", in, host, port)
		}
	}
	s := &turnSettings{host: "192.0.2.9"}
	got, err := s.addresses([]string{"198.51.100.7"})
	if err != nil || len(got) != 1 || got[0].Bind != netip.MustParseAddr("192.0.2.9") || got[0].Public != netip.MustParseAddr("198.51.100.7") {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"x", "0.0.0.0", "2600::1"} {
		if got, err := s.addresses([]string{bad}); err == nil {
			t.Errorf("%s is taken: %v", bad, got)
		}
	}
}

func sprint(v any) string { return fmt.Sprint(v) }

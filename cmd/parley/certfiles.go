package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/exit"
)

// checkEvery is how often the files of a certificate are looked at.
const checkEvery = time.Second

// certFiles is a certificate that is read anew when its files change. A renewed certificate is in use a second later, without anybody
// being told; a half-written one leaves the last good one in use.
type certFiles struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	looks   [2]look // of the files, when they were read last
	checked time.Time
}

// look is what tells one state of a file from another.
type look struct {
	changed time.Time
	size    int64
}

// certificateFiles reads --tls-cert and --tls-key.
func certificateFiles(cert, key string, logger *slog.Logger) (*certificates, error) {
	f := &certFiles{cert: cert, key: key, log: logger}
	f.looks = f.look()
	c, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, exit.Errorf(exit.Device, "--tls-cert, --tls-key: %w", err)
	}
	f.current, f.checked = &c, time.Now()
	return &certificates{config: serverTLS(f.get), name: nameIn(&c), covers: f.covers}, nil
}

// nameIn is a name that clients will find in a certificate, "" for none.
func nameIn(c *tls.Certificate) string {
	if c.Leaf == nil {
		return ""
	}
	for _, name := range c.Leaf.DNSNames {
		if !strings.Contains(name, "*") {
			return name
		}
	}
	for _, ip := range c.Leaf.IPAddresses {
		return ip.String()
	}
	return ""
}

// covers reports whether the certificate is for a host name.
func (f *certFiles) covers(host string) bool {
	c, err := f.get(nil)
	return err == nil && c.Leaf != nil && c.Leaf.VerifyHostname(host) == nil
}

// get is for tls.Config.GetCertificate.
func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.checked) < checkEvery {
		return f.current, nil
	}
	f.checked = time.Now()
	looks := f.look()
	if looks == f.looks {
		return f.current, nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil { // it may be written right now: look again next time
		f.log.Warn("the changed certificate cannot be used; the last one stays", slog.String("error", err.Error()))
		return f.current, nil
	}
	f.current, f.looks = &c, looks
	f.log.Info("the certificate was read anew", slog.Time("expires", c.Leaf.NotAfter))
	return f.current, nil
}

func (f *certFiles) look() (looks [2]look) {
	for i, file := range []string{f.cert, f.key} {
		if info, err := os.Stat(file); err == nil {
			looks[i] = look{info.ModTime(), info.Size()}
		}
	}
	return looks
}

package serve

import (
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/exit"
)

// checkInterval is the shortest time between two checks whether the files of a certificate changed.
const checkInterval = time.Second

// certFiles is a certificate that is loaded again when its files change, at the next connection. If
// that fails, as with a file that is half written, the last good certificate stays.
type certFiles struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex // guards the fields below
	current *tls.Certificate
	loaded  [2]fileState // of the files of current
	checked time.Time
}

// fileState identifies a version of a file.
type fileState struct {
	changed time.Time
	size    int64
}

// loadFiles loads the certificate of --tls-cert and --tls-key.
func loadFiles(cert, key string, logger *slog.Logger) (*certificates, error) {
	f := &certFiles{cert: cert, key: key, log: logger}
	f.loaded = f.state()
	c, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, exit.Errorf(exit.Device, "--tls-cert, --tls-key: %w", err)
	}
	f.current, f.checked = &c, time.Now()
	return &certificates{config: serverTLS(f.get), name: nameIn(&c), covers: f.covers}, nil
}

// nameIn returns a host name or address of a certificate, "" if it has none.
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

// get implements tls.Config.GetCertificate.
func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.checked) < checkInterval {
		return f.current, nil
	}
	f.checked = time.Now()
	state := f.state()
	if state == f.loaded {
		return f.current, nil
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		f.log.Warn("cannot load the changed certificate; the last one stays", slog.String("error", err.Error()))
		return f.current, nil
	}
	f.current, f.loaded = &c, state
	f.log.Info("certificate loaded again", slog.Time("expires", c.Leaf.NotAfter))
	return f.current, nil
}

func (f *certFiles) state() (states [2]fileState) {
	for i, file := range []string{f.cert, f.key} {
		if info, err := os.Stat(file); err == nil {
			states[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return states
}

package serve

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"parley/cmd/parley/internal/admin"
	"parley/cmd/parley/internal/exit"
)

// TLSOptions are the choices of the certificate: files, a self-signed one, ACME, or with the zero
// value none, which means no TLS.
type TLSOptions struct {
	CertFile, KeyFile string // PEM, loaded again when they change
	SelfSigned        bool   // make a certificate for this run
	ACME              ACMEOptions
}

// ACMEOptions are the choices of a certificate from an authority (RFC 8555).
type ACMEOptions struct {
	Host      string // host name of the certificate, "" for no ACME
	Cache     string // folder of certificates and account key; "": parley/acme in the user's cache folder
	Email     string // contact for the authority, "" for none
	HTTP      string // address of challenges over HTTP, "" for none
	Directory string // URL of the authority
}

// certificates is the source of the server's certificate.
type certificates struct {
	config      *tls.Config
	name        string            // host name for URLs, "" if the certificate names none
	covers      func(string) bool // reports whether the certificate is for a host name; nil if it is self-signed
	fingerprint string            // of a self-signed certificate, else ""
	manager     *autocert.Manager // of ACME, else nil
}

// loadCertificate loads or makes the certificate.
func (s *service) loadCertificate() (err error) {
	o := s.TLS
	sources := 0
	for _, given := range []bool{o.CertFile != "" || o.KeyFile != "", o.SelfSigned, o.ACME.Host != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		return exit.Usagef("--tls-cert, --tls-self-signed and --acme: one of them gives the certificate, not several")
	case (o.CertFile == "") != (o.KeyFile == ""):
		return exit.Usagef("--tls-cert and --tls-key go together")
	case o.CertFile != "":
		s.secure, err = loadFiles(o.CertFile, o.KeyFile, s.Logger)
	case o.SelfSigned:
		s.secure, err = newSelfSigned(time.Now())
	case o.ACME.Host != "":
		s.secure, err = newACME(o.ACME)
	}
	return err
}

// serverTLS returns the configuration for HTTP/1.1, whose connections WebSocket takes over.
func serverTLS(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get, NextProtos: []string{"http/1.1"}}
}

// listeners returns TLS listeners over plain ones.
func (c *certificates) listeners(plain []net.Listener) []net.Listener {
	var secured []net.Listener
	for _, l := range plain {
		secured = append(secured, tls.NewListener(l, c.config))
	}
	return secured
}

// turnTLS returns the configuration for TURN, without ALPN: not every client offers stun.turn
// (RFC 7443).
func (c *certificates) turnTLS() *tls.Config {
	if c == nil {
		return nil
	}
	config := c.config.Clone()
	config.NextProtos = nil
	return config
}

// hostPort returns the host and port of URLs for a listener, without the default port of https.
func (c *certificates) hostPort(a net.Addr) string {
	local := admin.LocalAddress(a)
	_, port, err := net.SplitHostPort(local)
	switch {
	case c.name == "" || err != nil:
		return local
	case port == "443":
		return c.name
	}
	return net.JoinHostPort(c.name, port)
}

func newACME(o ACMEOptions) (*certificates, error) {
	if _, err := netip.ParseAddr(o.Host); err == nil || !strings.Contains(o.Host, ".") || strings.ContainsAny(o.Host, "/: ") {
		return nil, exit.Usagef("invalid --acme %q: want a host name, such as call.example.org", o.Host)
	}
	if o.Cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, exit.Usagef("--acme: no folder for the certificate (%v); give one with --acme-cache", err)
		}
		o.Cache = filepath.Join(dir, "parley", "acme")
	}
	if err := os.MkdirAll(o.Cache, 0o700); err != nil {
		return nil, exit.Errorf(exit.Device, "--acme-cache: %w", err)
	}
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(o.Host), Cache: autocert.DirCache(o.Cache),
		Email: o.Email, Client: &acme.Client{DirectoryURL: o.Directory},
	}
	config := serverTLS(manager.GetCertificate)
	config.NextProtos = append(config.NextProtos, acme.ALPNProto) // RFC 8737: the challenge comes over TLS
	covers := func(name string) bool { return strings.EqualFold(name, o.Host) }
	return &certificates{config: config, name: o.Host, covers: covers, manager: manager}, nil
}

// openChallenges opens the address of ACME challenges over HTTP (RFC 8555 section 8.3). It returns
// nil without one.
func (s *service) openChallenges(ctx context.Context) (task, error) {
	if s.secure == nil || s.secure.manager == nil || s.TLS.ACME.HTTP == "" {
		return nil, nil
	}
	l, err := s.listen(ctx, "--acme-http", s.TLS.ACME.HTTP)
	if err != nil {
		return nil, err
	}
	handler := s.secure.manager.HTTPHandler(nil)
	return func(ctx context.Context) error { return admin.Serve(ctx, l, handler, s.Logger) }, nil
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal/server"
)

func certificateFlags() []cli.Flag {
	return inCategory("TLS", []cli.Flag{
		stringFlag("tls-cert", "", "`FILE` with the certificate chain (PEM); it is read anew when it changes"),
		stringFlag("tls-key", "", "`FILE` with its key (PEM)"),
		boolFlag("tls-self-signed", "make a certificate of our own for this run: browsers warn, then give camera and microphone"),
		stringFlag("acme", "", "get a certificate for `HOST` from Let's Encrypt, whose terms you accept thereby; needs port 443 or 80"),
		stringFlag("acme-cache", "", "`DIR` for its certificates and account key (default: parley/acme in the user's cache folder)"),
		stringFlag("acme-email", "", "address that the authority may write to"),
		stringFlag("acme-http", ":80", "`ADDRESS` that challenges over HTTP come to; others are sent to HTTPS; empty for none"),
		stringFlag("acme-directory", autocert.DefaultACMEDirectory, "`URL` of the authority"),
	})
}

// certificates is where the server's certificate comes from.
type certificates struct {
	config      *tls.Config
	name        string            // what clients should call the server, "" when the certificate does not tell
	covers      func(string) bool // whether it is for a host name; nil if it is our own
	fingerprint string            // of our own certificate, else ""
	manager     *autocert.Manager // of --acme, else nil
	challenges  string            // address for challenges over HTTP, "" for none
}

// readCertificate reads the flags of TLS.
func (srv *parleyServer) readCertificate(cmd *cli.Command) (err error) {
	cert, key, host := cmd.String("tls-cert"), cmd.String("tls-key"), cmd.String("acme")
	ways := 0
	for _, given := range []bool{cert != "" || key != "", cmd.Bool("tls-self-signed"), host != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return exit.Usagef("--tls-cert, --tls-self-signed and --acme: one of them gives the certificate, not several")
	case (cert == "") != (key == ""):
		return exit.Usagef("--tls-cert and --tls-key go together")
	case cert != "":
		srv.secure, err = certificateFiles(cert, key, srv.logger)
	case cmd.Bool("tls-self-signed"):
		srv.secure, err = selfSigned(time.Now())
	case host != "":
		if !cmd.IsSet("listen") {
			srv.addresses = []string{":443"}
		}
		srv.secure, err = acmeCertificates(cmd, host)
	}
	return err
}

// serverTLS is the configuration for HTTP and WebSocket, which HTTP/2 does not carry here.
func serverTLS(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get, NextProtos: []string{"http/1.1"}}
}

// listeners puts TLS over listeners.
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

func acmeCertificates(cmd *cli.Command, host string) (*certificates, error) {
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || strings.ContainsAny(host, "/: ") {
		return nil, exit.Usagef("--acme %q: it is a host's name, such as call.example.org", sanitize.Text(host))
	}
	cache := cmd.String("acme-cache")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, exit.Usagef("--acme: there is no place to keep the certificate (%v); name one with --acme-cache", err)
		}
		cache = filepath.Join(dir, "parley", "acme")
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, exit.Errorf(exit.Device, "--acme-cache: %w", err)
	}
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(host), Cache: autocert.DirCache(cache),
		Email: cmd.String("acme-email"), Client: &acme.Client{DirectoryURL: cmd.String("acme-directory")},
	}
	config := serverTLS(manager.GetCertificate)
	config.NextProtos = append(config.NextProtos, acme.ALPNProto) // RFC 8737: the challenge comes over TLS
	covers := func(name string) bool { return strings.EqualFold(name, host) }
	return &certificates{config: config, name: host, covers: covers, manager: manager, challenges: cmd.String("acme-http")}, nil
}

// openChallenges opens where challenges over HTTP come (RFC 8555 section 8.3).
func (srv *parleyServer) openChallenges(ctx context.Context, sockets *closers, _ *server.Server) ([]service, error) {
	if srv.secure == nil || srv.secure.manager == nil || srv.secure.challenges == "" {
		return nil, nil
	}
	listeners, err := sockets.listen(ctx, "--acme-http", srv.secure.challenges)
	if err != nil {
		return nil, err
	}
	handler := srv.secure.manager.HTTPHandler(nil)
	return []service{func(ctx context.Context) error { return serveHTTP(ctx, listeners[0], handler, srv.logger) }}, nil
}

// serveHTTP serves few clients, each for a moment, on a listener until ctx is done.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := server.NewHTTPServer(handler, server.Limits{Connections: 1 << 10, PerAddress: 64}, logger)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = server.Close()
	})
	err := server.Serve(l)
	if stop() {
		return err // it failed by itself
	}
	<-ended
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

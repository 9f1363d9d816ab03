// Package admin serves the metrics of a process to its operator.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"parley/signal/server"
)

// NewRegistry returns a registry with the version, with what the Go runtime and the operating
// system measure of the process, and with more.
func NewRegistry(version string, more ...prometheus.Collector) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "parley_build_info", Help: "1, with the version of this build.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(more...)
	return registry
}

// MetricsHandler returns the handler of /metrics.
func MetricsHandler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Respond writes a response of one line.
func Respond(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

// RejectUnknownHosts rejects requests for a host name other than localhost and hosts. A page in the
// operator's browser could use a name that its owner points at 127.0.0.1 (DNS rebinding). remedy
// says how a name becomes known.
func RejectUnknownHosts(next http.Handler, hosts []string, remedy string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
		known := func(name string) bool { return strings.EqualFold(name, host) }
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && !slices.ContainsFunc(hosts, known) {
			Respond(w, http.StatusForbidden, "unknown host name: use the address or localhost, or "+remedy)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ReachedFromElsewhere reports whether other machines may reach a listener.
func ReachedFromElsewhere(l net.Listener) bool {
	a, err := netip.ParseAddrPort(l.Addr().String())
	return err != nil || !a.Addr().IsLoopback()
}

// ListenError returns the error of a flag whose address, HOST:PORT, cannot be listened on.
func ListenError(flag, address string, err error) error {
	hint := "is another program running there? " + flag + " takes another address"
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns), errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = flag + " takes an address of this machine, or no host for all of them"
	case errors.Is(err, syscall.EACCES):
		hint = "ports below 1024 need a privilege on many systems"
	}
	return fmt.Errorf("failed to listen on %q: %w; %s", address, err, hint)
}

// LocalAddress returns the HOST:PORT by which this machine reaches a listener. HOST is localhost
// for loopback and unspecified addresses.
func LocalAddress(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && (ip.IsUnspecified() || ip.IsLoopback()) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// Serve serves a few short-lived clients on a listener until ctx is done.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := server.NewHTTPServer(handler, server.Limits{Connections: 1 << 10, PerAddress: 64}, logger)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = server.Close()
	})
	err := server.Serve(l)
	if stop() {
		return err // the listener failed
	}
	<-closed
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

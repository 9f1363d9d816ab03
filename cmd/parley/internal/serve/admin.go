package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"parley/cmd/parley/internal/exit"
	"parley/signal/server"
)

// AdminOptions are the choices of the administration address. The zero value means none.
type AdminOptions struct {
	Address string   // HOST:PORT of /livez, /readyz, /metrics and /debug/pprof/, "" for none
	Hosts   []string // names by which it may be requested, beside its address and localhost
}

// checkAdmin checks the options of the administration address.
func (s *service) checkAdmin() error {
	for _, host := range s.Admin.Hosts {
		name := strings.TrimSuffix(host, ".")
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isHostRune(r) }) {
			return exit.Usagef("invalid --admin-host %q: want a host name without port, such as parley.internal", host)
		}
		s.adminNames = append(s.adminNames, name)
	}
	if s.Admin.Address == "" && len(s.Admin.Hosts) > 0 {
		return exit.Usagef("--admin-host is of use with --admin only")
	}
	return nil
}

// isHostRune reports whether r may be in a host name.
func isHostRune(r rune) bool {
	return r == '-' || r == '.' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// openAdmin opens the administration address. It returns nil without one.
func (s *service) openAdmin(ctx context.Context, signaling *server.Server) (task, error) {
	if s.Admin.Address == "" {
		return nil, nil
	}
	l, err := s.listen(ctx, "--admin", s.Admin.Address)
	if err != nil {
		return nil, err
	}
	s.Report(AdminListening{Address: l.Addr().String(), URL: "http://" + LocalAddress(l.Addr()) + "/"})
	if a, err := netip.ParseAddrPort(l.Addr().String()); err != nil || !a.Addr().IsLoopback() {
		s.warnf("--admin %q can be reached from other machines: it shows the state of this process to everybody there", s.Admin.Address)
	}
	handler := rejectUnknownHosts(s.adminHandler(signaling), s.adminNames)
	return func(ctx context.Context) error { return serveHTTP(ctx, l, handler, s.Logger) }, nil
}

// adminHandler returns the handler of health, metrics and profiles.
func (s *service) adminHandler(signaling *server.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !signaling.Ready() {
			respond(w, http.StatusServiceUnavailable, "draining")
			return
		}
		if s.cluster != nil {
			if err := s.cluster.Ready(); err != nil { // the users that are here go on, also if all nodes are like this
				respond(w, http.StatusOK, "degraded: "+err.Error())
				return
			}
		}
		respond(w, http.StatusOK, "ready")
	})
	registry := newRegistry(signaling, s.turn, s.Version)
	if s.cluster != nil {
		registry.MustRegister(s.cluster.Node)
	}
	if s.gateway != nil {
		registry.MustRegister(s.gateway)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, http.StatusNotFound, "the command line is not shown, because it may contain secrets")
	})
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, http.StatusOK, "/livez\n/readyz\n/metrics\n/debug/pprof/")
	})
	return mux
}

func respond(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

// rejectUnknownHosts rejects requests for a host name other than localhost and hosts. A page in the
// operator's browser could use a name that its owner points at 127.0.0.1 (DNS rebinding).
func rejectUnknownHosts(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
		known := func(name string) bool { return strings.EqualFold(name, host) }
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && !slices.ContainsFunc(hosts, known) {
			respond(w, http.StatusForbidden, "unknown host name: use the address or localhost, or start the server with --admin-host NAME")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveHTTP serves a few short-lived clients on a listener until ctx is done.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, logger *slog.Logger) error {
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

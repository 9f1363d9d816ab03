package serve

import (
	"context"
	"net/http"
	"net/http/pprof"
	"strings"

	"parley/cmd/parley/internal/admin"
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
	s.Report(AdminListening{Address: l.Addr().String(), URL: "http://" + admin.LocalAddress(l.Addr()) + "/"})
	if admin.ReachedFromElsewhere(l) {
		s.warnf("--admin %q can be reached from other machines: it shows the state of this process to everybody there", s.Admin.Address)
	}
	handler := s.rejectUnknownHosts(s.adminHandler(signaling))
	return func(ctx context.Context) error { return admin.Serve(ctx, l, handler, s.Logger) }, nil
}

// rejectUnknownHosts rejects requests for names that are not known by --admin-host.
func (s *service) rejectUnknownHosts(next http.Handler) http.Handler {
	return admin.RejectUnknownHosts(next, s.adminNames, "start the server with --admin-host NAME")
}

// adminHandler returns the handler of health, metrics and profiles.
func (s *service) adminHandler(signaling *server.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { admin.Respond(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !signaling.Ready() {
			admin.Respond(w, http.StatusServiceUnavailable, "draining")
			return
		}
		if s.cluster != nil {
			if err := s.cluster.Ready(); err != nil { // the users that are here go on, also if all nodes are like this
				admin.Respond(w, http.StatusOK, "degraded: "+err.Error())
				return
			}
		}
		admin.Respond(w, http.StatusOK, "ready")
	})
	registry := admin.NewRegistry(s.Version, signaling)
	if s.turn != nil {
		registry.MustRegister(&turnCollector{s.turn.Server})
	}
	if s.cluster != nil {
		registry.MustRegister(s.cluster.Node)
	}
	if s.gateway != nil {
		registry.MustRegister(s.gateway)
	}
	mux.Handle("GET /metrics", admin.MetricsHandler(registry))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		admin.Respond(w, http.StatusNotFound, "the command line is not shown, because it may contain secrets")
	})
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		admin.Respond(w, http.StatusOK, "/livez\n/readyz\n/metrics\n/debug/pprof/")
	})
	return mux
}

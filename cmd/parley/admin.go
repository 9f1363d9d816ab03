package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal/server"
)

// openAdmin opens --admin.
func (srv *parleyServer) openAdmin(ctx context.Context, sockets *closers, signaling *server.Server) ([]service, error) {
	if srv.admin == "" {
		return nil, nil
	}
	listeners, err := sockets.listen(ctx, "--admin", srv.admin)
	if err != nil {
		return nil, err
	}
	at := listeners[0].Addr()
	srv.report.Report(event.Event{Name: "admin", Fields: event.Fields("address", at.String(), "url", "http://"+reachable(at)+"/"),
		Message: fmt.Sprintf("health, metrics and profiles on http://%s/", reachable(at))})
	if a, err := netip.ParseAddrPort(at.String()); err != nil || !a.Addr().IsLoopback() {
		srv.report.Warnf("--admin %s can be reached from other machines: it shows the inside of this process to everybody there", sanitize.Text(srv.admin))
	}
	handler := localOnly(adminHandler(signaling, srv.turn), srv.adminHosts)
	return []service{func(ctx context.Context) error { return serveHTTP(ctx, listeners[0], handler, srv.logger) }}, nil
}

// adminHandler shows how the server is.
func adminHandler(signaling *server.Server, turn *turnSettings) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if signaling.Ready() {
			answer(w, http.StatusOK, "ready")
			return
		}
		answer(w, http.StatusServiceUnavailable, "draining")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(signaling, turn), promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	// Not by http.HandleFunc of package pprof: that would be on the default mux too.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "the command line is not shown, because it may contain secrets")
	})
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "/livez\n/readyz\n/metrics\n/debug/pprof/")
	})
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

// localOnly refuses requests by a name other than hosts: a page in the operator's browser could come by a name that its owner points at
// 127.0.0.1 (DNS rebinding).
func localOnly(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
		known := func(name string) bool { return strings.EqualFold(name, host) }
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && !slices.ContainsFunc(hosts, known) {
			answer(w, http.StatusForbidden, "unknown host name: use the address or localhost, or start the server with --admin-host NAME")
			return
		}
		next.ServeHTTP(w, r)
	})
}

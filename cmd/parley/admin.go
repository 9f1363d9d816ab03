package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"parley/signal/server"
	"parley/signal/turnserver"
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
	srv.report.report(event{name: "admin", fields: []field{{"address", at.String()}, {"url", "http://" + reachable(at) + "/"}},
		say: fmt.Sprintf("health, metrics and profiles on http://%s/", reachable(at))})
	if a, err := netip.ParseAddrPort(at.String()); err != nil || !a.Addr().IsLoopback() {
		srv.report.warn("--admin %s can be reached from other machines: it shows the inside of this process to everybody there", printable(srv.admin))
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
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", server.MetricsType)
		_ = signaling.WriteMetrics(w) // a reader that is gone
		if turn != nil {
			writeRelayMetrics(w, turn.server.Stats())
		}
		writeProcessMetrics(w)
	})
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

// writeRelayMetrics writes what the relay has done, in the text format of Prometheus.
func writeRelayMetrics(w io.Writer, s turnserver.Stats) {
	metric(w, "relay_allocations", "gauge", "Relays that are open.", reading{"", float64(s.Allocations)})
	metric(w, "relay_streams", "gauge", "TCP and TLS connections that are open.", reading{"", float64(s.Streams)})
	metric(w, "relay_allocations_total", "counter", "Relays that were opened.", reading{"", float64(s.Allocated)})
	metric(w, "relay_bytes_total", "counter", "Bytes that were relayed, to peers and from them.",
		reading{`{direction="to"}`, float64(s.Sent)}, reading{`{direction="from"}`, float64(s.Received)})
	var refused []reading
	for reason, n := range s.Refused {
		refused = append(refused, reading{fmt.Sprintf("{reason=%q}", reason), float64(n)})
	}
	slices.SortFunc(refused, func(a, b reading) int { return strings.Compare(a.labels, b.labels) })
	metric(w, "relay_refused_total", "counter", "What was refused.", refused...)
}

// reading is one number of a metric.
type reading struct {
	labels string
	value  float64
}

func metric(w io.Writer, name, kind, help string, samples ...reading) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	for _, s := range samples {
		fmt.Fprintf(w, "%s%s %v\n", name, s.labels, s.value)
	}
}

// writeProcessMetrics writes what Prometheus' own client calls by these names.
func writeProcessMetrics(w io.Writer) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	metric(w, "go_goroutines", "gauge", "Goroutines.", reading{"", float64(runtime.NumGoroutine())})
	metric(w, "go_memstats_heap_alloc_bytes", "gauge", "Bytes of the heap in use.", reading{"", float64(m.HeapAlloc)})
	metric(w, "go_memstats_sys_bytes", "gauge", "Bytes taken from the system.", reading{"", float64(m.Sys)})
	if n, ok := resident(); ok {
		metric(w, "process_resident_memory_bytes", "gauge", "Resident memory.", reading{"", n})
	}
	if n, ok := openFiles(); ok {
		metric(w, "process_open_fds", "gauge", "Open file descriptors.", reading{"", n})
	}
}

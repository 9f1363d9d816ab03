package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"parley/signal/whip"
)

// metrics are the metrics of a gateway. No client can add one, because every label has a fixed set
// of values.
type metrics struct {
	collectors []prometheus.Collector
	requests   *prometheus.CounterVec
}

func newMetrics(g *Gateway) *metrics {
	m := &metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "whip", Name: "requests_total", Help: "Requests of WHIP and WHEP clients, by method and class of the status.",
	}, []string{"protocol", "method", "status"})}
	for _, p := range []whip.Direction{whip.Publish, whip.Play} {
		m.collectors = append(m.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "whip", Name: "sessions", Help: "Sessions of WHIP and WHEP clients.", ConstLabels: prometheus.Labels{"protocol": string(p)},
		}, func() float64 { return float64(g.count(p)) }))
	}
	m.collectors = append(m.collectors, m.requests)
	return m
}

// request counts a request.
func (m *metrics) request(protocol whip.Direction, method string, status int) {
	switch method {
	case http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	class := "5xx"
	switch {
	case status < 300:
		class = "2xx"
	case status < 500:
		class = "4xx"
	}
	m.requests.WithLabelValues(string(protocol), method, class).Inc()
}

// countingWriter remembers the status of a response.
type countingWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap returns the writer for http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

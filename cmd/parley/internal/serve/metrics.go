package serve

import (
	"github.com/prometheus/client_golang/prometheus"

	"parley/signal/turnserver"
)

// turnCollector collects the metrics of a TURN server.
type turnCollector struct{ server *turnserver.Server }

var (
	turnAllocations      = prometheus.NewDesc("turn_allocations", "Open allocations.", nil, nil)
	turnConnections      = prometheus.NewDesc("turn_tcp_connections", "Open TCP and TLS connections of clients.", nil, nil)
	turnAllocationsTotal = prometheus.NewDesc("turn_allocations_created_total", "Allocations created.", nil, nil)
	turnBytesTotal       = prometheus.NewDesc("turn_relayed_bytes_total", "Bytes relayed to peers and from peers.", []string{"direction"}, nil)
	turnRejectedTotal    = prometheus.NewDesc("turn_rejected_total", "Rejected requests, packets and connections, by reason.", []string{"reason"}, nil)
)

// Describe implements prometheus.Collector.
func (c *turnCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{turnAllocations, turnConnections, turnAllocationsTotal, turnBytesTotal, turnRejectedTotal} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c *turnCollector) Collect(metrics chan<- prometheus.Metric) {
	s := c.server.Stats()
	metrics <- prometheus.MustNewConstMetric(turnAllocations, prometheus.GaugeValue, float64(s.Allocations))
	metrics <- prometheus.MustNewConstMetric(turnConnections, prometheus.GaugeValue, float64(s.Streams))
	metrics <- prometheus.MustNewConstMetric(turnAllocationsTotal, prometheus.CounterValue, float64(s.Allocated))
	metrics <- prometheus.MustNewConstMetric(turnBytesTotal, prometheus.CounterValue, float64(s.Sent), "to_peer")
	metrics <- prometheus.MustNewConstMetric(turnBytesTotal, prometheus.CounterValue, float64(s.Received), "from_peer")
	for reason, n := range s.Refused {
		metrics <- prometheus.MustNewConstMetric(turnRejectedTotal, prometheus.CounterValue, float64(n), string(reason))
	}
}

package nats

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"parley/signal/cluster"
	"parley/signal/cluster/nats/links"
)

// metrics are the metrics of a node. Their names begin with signaling_cluster_.
type metrics struct {
	collectors []prometheus.Collector

	claims                                                           *prometheus.CounterVec // by result
	takeovers, releases, reasserted, conflicts, settings, leasesLost prometheus.Counter
	retries, slow                                                    prometheus.Counter
	links                                                            links.Metrics
}

func newMetrics(n *Node) *metrics {
	m := &metrics{}
	gauge := func(name, help string, value func() float64) {
		m.collectors = append(m.collectors, prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "signaling", Subsystem: "cluster", Name: name, Help: help}, value))
	}
	gauge("ready", "1 if names can be claimed and other nodes reached, 0 if not.", func() float64 {
		if n.Ready() == nil {
			return 1
		}
		return 0
	})
	gauge("nodes", "Nodes with a lease, with this one.", func() float64 {
		if n.hasLease() {
			return float64(n.peers.count() + 1)
		}
		return float64(n.peers.count())
	})
	gauge("lease_age_seconds", "Time since this node has renewed its lease.", func() float64 { return n.LeaseAge().Seconds() })
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "signaling", Subsystem: "cluster", Name: name, Help: help})
		m.collectors = append(m.collectors, c)
		return c
	}
	m.claims = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "signaling", Subsystem: "cluster", Name: "claims_total", Help: "Claims of names, by result.",
	}, []string{"result"})
	for _, result := range []string{"success", "taken", "unavailable"} {
		m.claims.WithLabelValues(result)
	}
	m.collectors = append(m.collectors, m.claims)
	m.takeovers = counter("takeovers_total", "Names taken from another session that was alive.")
	m.releases = counter("releases_total", "Names released.")
	m.reasserted = counter("reasserted_total", "Names that were missing in the cluster and claimed again.")
	m.conflicts = counter("conflicts_total", "Sessions that lost their name while this node was out of contact.")
	m.settings = counter("other_settings_total", "Nodes seen with other settings of logins.")
	m.leasesLost = counter("leases_lost_total", "Times that the lease of this node has ended.")
	m.links.Sent = counter("messages_sent_total", "Messages to sessions of other nodes.")
	m.links.Received = counter("messages_received_total", "Messages from sessions of other nodes.")
	m.retries = counter("retries_total", "Requests and batches of messages that were sent again.")
	m.links.Retries = m.retries
	m.links.Duplicates = counter("duplicates_total", "Messages that arrived again and were dropped.")
	m.links.Resets = counter("resets_total", "Times that messages to a session were given up.")
	m.slow = counter("slow_total", "Times that messages arrived faster than this node received them.")
	m.links.Malformed = counter("malformed_total", "Batches that could not be read.")
	return m
}

// claim counts a claim by its result.
func (m *metrics) claim(err error) {
	var taken *cluster.TakenError
	result := "unavailable"
	switch {
	case err == nil:
		result = "success"
	case errors.As(err, &taken):
		result = "taken"
	}
	m.claims.WithLabelValues(result).Inc()
}

// Describe implements prometheus.Collector.
func (n *Node) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range n.metrics.collectors {
		c.Describe(descs)
	}
}

// Collect implements prometheus.Collector.
func (n *Node) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range n.metrics.collectors {
		c.Collect(metrics)
	}
}

package nats

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"parley/signal/cluster"
	"parley/signal/cluster/nats/links"
)

// metrics are the metrics of a node. Their names begin with signaling_cluster_.
type metrics struct {
	claims, requestsSent, requestsReceived                           *prometheus.CounterVec // by result
	takeovers, releases, reasserted, conflicts, settings, leasesLost prometheus.Counter
	retries, slow                                                    prometheus.Counter
	links                                                            links.Metrics
}

// newMetrics returns the metrics of a node, and their collector.
func newMetrics(n *Node) (*metrics, prometheus.Collector) {
	const namespace, subsystem = "signaling", "cluster"
	registry := prometheus.NewRegistry()
	factory := promauto.With(registry)
	gauge := func(name, help string, value func() float64) {
		factory.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, value)
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
		return factory.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help})
	}
	results := func(name, help string, results ...string) *prometheus.CounterVec {
		c := factory.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help + ", by result."}, []string{"result"})
		for _, result := range results {
			c.WithLabelValues(result) // shown from the beginning
		}
		return c
	}
	retries := counter("retries_total", "Requests and batches of messages that were sent again.")
	m := &metrics{
		claims:           results("claims_total", "Claims of names", "success", "taken", "absent", "unavailable"),
		requestsSent:     results("requests_sent_total", "Requests to other nodes", "success", "absent", "unavailable"),
		requestsReceived: results("requests_received_total", "Requests of other nodes", "success", "unavailable"),

		takeovers:  counter("takeovers_total", "Names taken from another session that was alive."),
		releases:   counter("releases_total", "Names released."),
		reasserted: counter("reasserted_total", "Names that were missing in the cluster and claimed again."),
		conflicts:  counter("conflicts_total", "Sessions that lost their name while this node was out of contact."),
		settings:   counter("other_settings_total", "Nodes seen with other settings of logins."),
		leasesLost: counter("leases_lost_total", "Times that the lease of this node has ended."),
		retries:    retries,
		slow:       counter("slow_total", "Times that messages arrived faster than this node received them."),
		links: links.Metrics{
			Sent:       counter("messages_sent_total", "Messages to sessions of other nodes."),
			Received:   counter("messages_received_total", "Messages from sessions of other nodes."),
			Retries:    retries,
			Duplicates: counter("duplicates_total", "Messages that arrived again and were dropped."),
			Resets:     counter("resets_total", "Times that messages to a session were given up."),
			Malformed:  counter("malformed_total", "Batches that could not be read."),
		},
	}
	return m, registry
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
	case errors.Is(err, cluster.ErrAbsent): // the session that it would continue has ended
		result = "absent"
	}
	m.claims.WithLabelValues(result).Inc()
}

// requestSent counts a request to another node by its result.
func (m *metrics) requestSent(err error) {
	result := "unavailable"
	switch {
	case err == nil:
		result = "success"
	case errors.Is(err, cluster.ErrAbsent):
		result = "absent"
	}
	m.requestsSent.WithLabelValues(result).Inc()
}

// requestReceived counts a request of another node by the reply, which is empty if there is none.
func (m *metrics) requestReceived(reply []byte) {
	result := "success"
	if len(reply) == 0 {
		result = "unavailable"
	}
	m.requestsReceived.WithLabelValues(result).Inc()
}

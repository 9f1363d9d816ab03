package server

import (
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"parley/signal"
	"parley/signal/internal/admission"
	"parley/signal/internal/wire"
)

// Stats are the numbers of a server at one moment, of both dialects.
type Stats struct {
	// Connections are the open WebSockets, Pending those of them that have not logged in.
	Connections, Pending int
	// Names are logged in, and Calls are open.
	Names, Calls int
}

// Stats returns the numbers of this moment.
func (s *Server) Stats() Stats {
	var st Stats
	st.Connections, st.Pending = s.gate.Count(), s.pending.size()
	for _, h := range []*hub{s.call, s.relay} {
		names, calls := h.counts()
		st.Names += names
		st.Calls += calls
	}
	return st
}

// Describe implements prometheus.Collector: a registry collects the metrics of a Server. Their
// names begin with signaling_. No client can add a metric, because every label has a fixed set of
// values.
func (s *Server) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range s.metrics.collectors {
		c.Describe(descs)
	}
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range s.metrics.collectors {
		c.Collect(metrics)
	}
}

// metrics are the metrics of a server.
type metrics struct {
	collectors []prometheus.Collector

	accepted, origins prometheus.Counter
	refusals          counters // connections, by reason
	logins            counters // by result
	auth              counters // logins refused by the Authorizer, by reason
	messages          [len(dialects)][len(kinds)]prometheus.Counter
	forwarded         [len(kinds)][unavailable + 1]prometheus.Counter
	limits            counters // by what was exceeded
	ends              counters // connections, by reason of their end
	closes            counters // close frames sent, by code
	rtt               prometheus.Histogram
}

var (
	dialects = [...]signal.Dialect{signal.DialectCall, signal.DialectRelay}
	kinds    = [...]signal.Type{"other", signal.Offer, signal.Answer, signal.ICECandidate, signal.Leave, wire.TypeLogin, wire.TypeAck, wire.TypeICEServers, wire.TypeWatch}
)

// forwardedKinds is how many of kinds are forwarded to other users.
const forwardedKinds = 5

func kindIndex(t signal.Type) int {
	for i, k := range kinds {
		if k == t {
			return i
		}
	}
	return 0
}

// counters count by the values of one label; all other values are "other".
type counters map[string]prometheus.Counter

func (c counters) add(value string) {
	counter := c[value]
	if counter == nil {
		counter = c["other"]
	}
	counter.Inc()
}

func newMetrics(s *Server) *metrics {
	m := &metrics{}
	gauge := func(name, help string, value func() float64) {
		m.collectors = append(m.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "signaling", Name: name, Help: help}, value))
	}
	gauge("connections", "Open WebSocket connections.", func() float64 { return float64(s.Stats().Connections) })
	gauge("pending_connections", "Open connections that have not logged in.", func() float64 { return float64(s.Stats().Pending) })
	gauge("names", "Names that are logged in.", func() float64 { return float64(s.Stats().Names) })
	gauge("calls", "Open calls.", func() float64 { return float64(s.Stats().Calls) })
	gauge("ready", "1 while new connections are accepted, 0 while the server drains.", func() float64 {
		if s.Ready() {
			return 1
		}
		return 0
	})
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "signaling", Name: name, Help: help}, labels)
		m.collectors = append(m.collectors, v)
		return v
	}
	byValue := func(v *prometheus.CounterVec, values ...string) counters {
		c := counters{}
		for _, value := range append(values, "other") {
			c[value] = v.WithLabelValues(value)
		}
		return c
	}
	connections := vector("connections_total", "Connections, by the result of their admission.", "result")
	m.accepted = connections.WithLabelValues("accepted")
	m.origins = prometheus.NewCounter(prometheus.CounterOpts{Namespace: "signaling", Name: "origins_rejected_total", Help: "Upgrades rejected because of their origin."})
	m.collectors = append(m.collectors, m.origins)
	m.refusals = byValue(connections, string(admission.TooManyUpgradesFromAddress), string(admission.TooManyUpgrades), string(admission.TooManyFromAddress), string(admission.TooManyConnections),
		string(admission.Draining), "upgrade", "sockets")
	m.logins = byValue(vector("logins_total", "Logins, by result.", "result"), "success", "resumed", "renewed", signal.CodeTaken, signal.CodeBadName,
		signal.CodeUnauthorized, signal.CodeThrottled, signal.CodeUnavailable, signal.CodeExpired, signal.CodeBadMessage, signal.CodeOverloaded)
	m.auth = byValue(vector("auth_failures_total", "Logins and sessions ended by authorization, by reason.", "reason"),
		"refused", "unavailable", "throttled", "resume", "expired")
	m.limits = byValue(vector("limits_exceeded_total", "Messages and connections over a limit, by error code.", "code"),
		signal.CodeRateLimited, signal.CodeTooManyCalls, signal.CodeTooManyWatches, signal.CodeTooLong, signal.CodeLoginTimeout, signal.CodeOverloaded, signal.CodeBadMessage)
	m.ends = byValue(vector("disconnections_total", "Connections that ended, by reason.", "reason"), "closed", "lost", "breach", "aborted", "slow")
	m.closes = byValue(vector("close_frames_sent_total", "Close frames sent, by close code.", "code"),
		"1001", "1002", "1003", "1007", "1009", "1012", "4400", "4401", "4408", "4409", "4429", "4503")
	received := vector("messages_received_total", "Messages received from clients.", "dialect", "type")
	for i, d := range dialects {
		for j, k := range kinds {
			m.messages[i][j] = received.WithLabelValues(string(d), string(k))
		}
	}
	forwarded := vector("messages_forwarded_total", "Messages for other users, by result.", "type", "result")
	for i, k := range kinds[:forwardedKinds] {
		for v := range m.forwarded[i] {
			m.forwarded[i][v] = forwarded.WithLabelValues(string(k), deliveryResult(v).String())
		}
	}
	m.rtt = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "signaling", Name: "ping_rtt_seconds", Help: "Time from a ping to its pong.",
		Buckets: []float64{0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10}})
	m.collectors = append(m.collectors, m.rtt)
	return m
}

func (m *metrics) refused(why string)        { m.refusals.add(why) }
func (m *metrics) login(result string)       { m.logins.add(result) }
func (m *metrics) authFailure(why string)    { m.auth.add(why) }
func (m *metrics) limited(code string)       { m.limits.add(code) }
func (m *metrics) disconnected(why string)   { m.ends.add(why) }
func (m *metrics) pingRTT(rtt time.Duration) { m.rtt.Observe(rtt.Seconds()) }

func (m *metrics) closed(code int) {
	if code != websocket.CloseNormalClosure && code != websocket.CloseNoStatusReceived {
		m.closes.add(strconv.Itoa(code))
	}
}

func (m *metrics) received(d signal.Dialect, t signal.Type) {
	i := 0
	if d == signal.DialectRelay {
		i = 1
	}
	m.messages[i][kindIndex(t)].Inc()
}

func (m *metrics) relayed(t signal.Type, v deliveryResult) {
	i := kindIndex(t)
	if i >= forwardedKinds {
		i = 0
	}
	m.forwarded[i][v].Inc()
}

// String returns the label of a result.
func (v deliveryResult) String() string {
	return [...]string{"delivered", "dropped", "absent", "no_call", "too_many_calls", "not_logged_in", "queue_full", "unavailable"}[v]
}
